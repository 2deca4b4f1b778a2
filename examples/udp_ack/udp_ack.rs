//! Requests over UDP, which may lose them or their answers: each is acknowledged by name, and sent again until its ACK comes.
//!
//! ```text
//! udp_ack                     the whole story
//! udp_ack server ADDRESS      carries out requests until the last; loses the first ACK of every other one on purpose
//! udp_ack client ADDRESS      sends four requests and `end`
//! ```
//!
//! ADDRESS is `udp:127.0.0.1:9000` (`unix:@name` works as well, and loses nothing by itself). Each process may be Rust, C
//! or Python. A request that comes again is acknowledged again, but not carried out again: the server remembers the last
//! one. After the end it stays for a moment, as its last ACK may be lost too: TCP does the same, and calls it TIME_WAIT.

use std::time::Duration;
use triveni::kernel::Datagram;
use triveni::{Deadline, ErrorKind, Result};
use triveni_examples::{finish, start};

const REQUESTS: [&str; 5] = ["request 1", "request 2", "request 3", "request 4", "end"];
const PATIENCE: Duration = Duration::from_millis(50);
const LINGER: Duration = Duration::from_millis(200);
const TRIES: u32 = 100;

fn bind(address: &str) -> Result<Datagram> {
    let socket = Datagram::bind(address)?;
    println!("receiving at {}", socket.local_address()?);
    Ok(socket)
}

fn server(socket: &Datagram) -> Result<()> {
    let mut last = String::new();
    let mut carried_out = 0;
    let mut until = Deadline::never();
    let mut buffer = [0; 64];
    loop {
        let (size, client) = match socket.receive_from_until(&mut buffer, until) {
            Err(error) if error.kind() == ErrorKind::Timeout => break,
            received => received?,
        };
        let request = String::from_utf8_lossy(&buffer[..size]).into_owned();
        if request == last {
            println!("{request} came again");
        } else if request == "end" {
            until = Deadline::after(LINGER);
        } else {
            carried_out += 1;
            println!("{request} is carried out");
        }
        let first_time = std::mem::replace(&mut last, request) != last;
        if first_time && carried_out % 2 == 1 && last != "end" {
            println!("the ACK of {last} is lost");
            continue;
        }
        socket.send_to(format!("ACK {last}").as_bytes(), &client)?;
    }
    println!("{carried_out} requests carried out");
    Ok(())
}

fn client(address: &str) -> Result<()> {
    let socket = Datagram::connect(address)?;
    let mut answer = [0; 64];
    for request in REQUESTS {
        let wanted = format!("ACK {request}");
        let mut tries = 0;
        'again: loop {
            tries += 1;
            socket.send(request.as_bytes())?;
            loop {
                match socket.receive_until(&mut answer, Deadline::after(PATIENCE)) {
                    Err(error) if error.kind() == ErrorKind::Timeout && tries < TRIES => continue 'again,
                    size => {
                        if &answer[..size?] == wanted.as_bytes() {
                            break 'again;
                        } // else the second ACK of a request before
                    }
                }
            }
        }
        println!("{request}: ACK after {}", if tries == 1 { "the first try" } else { "more than one try" });
    }
    Ok(())
}

fn story() -> Result<()> {
    let socket = bind("udp:127.0.0.1:0")?;
    let client = start(&["client", &socket.local_address()?.to_string()])?;
    server(&socket)?;
    finish([client])
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => story(),
        ["server", address] => server(&bind(address)?),
        ["client", address] => client(address),
        _ => {
            eprintln!("usage: udp_ack [server ADDRESS | client ADDRESS]");
            std::process::exit(2)
        }
    }
}
