//! Sockets.
//!
//! | role            | does                                                                                          |
//! |-----------------|-----------------------------------------------------------------------------------------------|
//! | `serve N WHAT…` | binds them all and says where (one line each), then serves one client at each; says `ok`       |
//! | `ask N WHAT…`   | is the client at each, in order; says `ok`                                                    |
//! | `hold ADDRESS`  | listens for a stream, says where, accepts it, says `holding`, stays                            |
//! | `wait ADDRESS`  | connects a stream, says `waiting`, receives until that fails, says `ended`                     |
//! | `half ADDRESS`  | connects a stream, sends 4 of the 100 bytes of a message, says `holding`, stays                |
//! | `own ADDRESS`   | listens, owns the socket file, says `holding`, stays (ours only)                               |
//!
//! WHAT is `stream=ADDRESS`, `seqpacket=ADDRESS` or `datagram=ADDRESS`: the client sends messages 0 to N - 1 and gets each
//! back; or `pass=ADDRESS`: over a stream the client passes the writing end of a pipe, and the server writes `passed`
//! into it.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use triveni::ErrorKind;
use triveni::kernel::{BindOptions, Datagram, Listener, Seqpacket, SeqpacketListener, Stream};
use triveni_tests::kernel::message;

fn stay() {
    println!("holding");
    loop {
        std::thread::park();
    }
}

fn check(k: u64, got: &[u8]) {
    assert_eq!(got, message(k), "message {k}");
}

type Served = Box<dyn FnOnce(u64)>;

fn server(what: &str) -> Served {
    let (kind, address) = what.split_once('=').unwrap();
    let mut buffer = [0; 64];
    match kind {
        "datagram" => {
            let socket = Datagram::bind(address).unwrap();
            println!("{kind}={}", socket.local_address().unwrap());
            Box::new(move |n| {
                for _ in 0..n {
                    let (size, from) = socket.receive_from(&mut buffer).unwrap();
                    socket.send_to(&buffer[..size], &from).unwrap();
                }
            })
        }
        "seqpacket" => {
            let listener = SeqpacketListener::bind(address).unwrap();
            println!("{kind}={}", listener.local_address().unwrap());
            Box::new(move |n| {
                let client = listener.accept().unwrap();
                for _ in 0..n {
                    let size = client.receive(&mut buffer).unwrap();
                    client.send(&buffer[..size]).unwrap();
                }
                assert_eq!(client.receive(&mut buffer).unwrap_err().kind(), ErrorKind::Closed);
            })
        }
        _ => {
            let listener = Listener::bind(address).unwrap();
            println!("{kind}={}", listener.local_address().unwrap());
            let passes = kind == "pass";
            Box::new(move |n| {
                let client = listener.accept().unwrap();
                if passes {
                    let mut received = client.read_descriptors(&mut buffer, 4).unwrap();
                    assert_eq!((received.descriptors.len(), received.cut), (1, false));
                    std::fs::File::from(received.descriptors.remove(0)).write_all(b"passed").unwrap();
                    return;
                }
                for _ in 0..n {
                    let size = client.receive(&mut buffer).unwrap();
                    client.send(&buffer[..size]).unwrap();
                }
                assert_eq!(client.receive(&mut buffer).unwrap_err().kind(), ErrorKind::Closed);
            })
        }
    }
}

fn client(what: &str, n: u64) {
    let (kind, address) = what.split_once('=').unwrap();
    let mut buffer = [0; 64];
    match kind {
        "datagram" => {
            let socket = Datagram::connect(address).unwrap();
            for k in 0..n {
                socket.send(&message(k)).unwrap();
                let size = socket.receive(&mut buffer).unwrap();
                check(k, &buffer[..size]);
            }
        }
        "seqpacket" => {
            let socket = Seqpacket::connect(address).unwrap();
            for k in 0..n {
                socket.send(&message(k)).unwrap();
                let size = socket.receive(&mut buffer).unwrap();
                check(k, &buffer[..size]);
            }
        }
        "stream" => {
            let socket = Stream::connect(address).unwrap();
            for k in 0..n {
                socket.send(&message(k)).unwrap();
                let size = socket.receive(&mut buffer).unwrap();
                check(k, &buffer[..size]);
            }
        }
        _ => {
            let socket = Stream::connect(address).unwrap();
            let (mut reader, writer) = std::io::pipe().unwrap();
            socket.write_descriptors(b"x", &[writer.as_fd()]).unwrap();
            drop(writer);
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            assert_eq!(text, "passed");
        }
    }
}

pub fn run(args: &[&str]) {
    match *args {
        ["serve", n, ref what @ ..] => {
            let served: Vec<_> = what.iter().map(|what| server(what)).collect();
            served.into_iter().for_each(|serve| serve(n.parse().unwrap()));
            println!("ok");
        }
        ["ask", n, ref what @ ..] => {
            what.iter().for_each(|what| client(what, n.parse().unwrap()));
            println!("ok");
        }
        ["hold", address] => {
            let listener = Listener::bind(address).unwrap();
            println!("{}", listener.local_address().unwrap());
            let _client = listener.accept().unwrap();
            stay();
        }
        ["wait", address] => {
            let socket = Stream::connect(address).unwrap();
            println!("waiting");
            let error = socket.receive(&mut [0; 64]).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Closed | ErrorKind::PeerDead), "{error}");
            println!("ended");
        }
        ["half", address] => {
            let socket = Stream::connect(address).unwrap();
            socket.send_all(b"\0\0\0\x64half").unwrap();
            stay();
        }
        ["own", address] => {
            let _listener = Listener::bind_with(address, BindOptions::default().owned(true)).unwrap();
            stay();
        }
        _ => panic!("no such role: {args:?}"),
    }
}
