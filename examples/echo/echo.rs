//! Echo over a connection: socket, bind, listen, accept here; socket, connect there; close on both sides.
//!
//! ```text
//! echo                            the whole story: over TCP, then over a Unix socket
//! echo server ADDRESS CLIENTS     serves so many clients, one after the other
//! echo client ADDRESS             sends four words, and prints what comes back
//! ```
//!
//! ADDRESS is `tcp:127.0.0.1:7777`, `unix:/tmp/echo.sock` or `unix:@echo`; nothing else differs. Each process may be
//! Rust, C or Python.

use std::time::Duration;
use triveni::kernel::{BindOptions, Listener, Stream};
use triveni::{Deadline, Result};
use triveni_examples::{finish, start};

fn listen(address: &str) -> Result<Listener> {
    // The socket file goes with the listener, and one that a killed server left is no obstacle.
    let listener = Listener::bind_with(address, BindOptions::default().owned(true).replace_stale(true))?;
    println!("listening at {}", listener.local_address()?);
    Ok(listener)
}

fn server(listener: &Listener, clients: u32) -> Result<()> {
    for _ in 0..clients {
        let client = listener.accept()?;
        let mut buffer = [0; 1024];
        loop {
            let size = client.read(&mut buffer)?; // some bytes: a stream has no borders
            if size == 0 {
                break;
            }
            println!("received: {}", String::from_utf8_lossy(&buffer[..size]));
            client.send_all(&buffer[..size])?;
        }
        println!("client disconnected");
    }
    Ok(())
}

fn client(address: &str) -> Result<()> {
    let server = Stream::connect_until(address, Deadline::after(Duration::from_secs(10)))?;
    for word in ["Hello", "World", "Echo", "Test"] {
        server.send_all(word.as_bytes())?;
        let mut back = vec![0; word.len()];
        server.receive_exact(&mut back)?;
        println!("echo: {}", String::from_utf8_lossy(&back));
    }
    Ok(())
}

fn story() -> Result<()> {
    for address in ["tcp:127.0.0.1:0", "unix:/tmp/triveni-echo.sock"] {
        let listener = listen(address)?;
        let client = start(&["client", &listener.local_address()?.to_string()])?;
        server(&listener, 1)?;
        finish([client])?;
    }
    Ok(())
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => story(),
        ["server", address, clients] => server(&listen(address)?, clients.parse().expect("a number of clients")),
        ["client", address] => client(address),
        _ => {
            eprintln!("usage: echo [server ADDRESS CLIENTS | client ADDRESS]");
            std::process::exit(2)
        }
    }
}
