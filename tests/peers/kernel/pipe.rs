//! Pipes and FIFOs.
//!
//! | role             | does                                                                                        |
//! |------------------|---------------------------------------------------------------------------------------------|
//! | `send WHERE N`   | sends messages 0 to N - 1, then closes                                                      |
//! | `receive WHERE N`| receives them, checks them and that nothing follows, says `ok N`                            |
//! | `count WHERE`    | reads whatever comes, as bytes, to the end; says `ok BYTES`                                 |
//! | `hold WHERE`     | opens the end to write to, says `holding`, stays                                            |
//! | `own PATH`       | makes a FIFO and owns it, says `holding`, stays (ours only)                                 |
//!
//! WHERE is the path of a FIFO, or the number of a descriptor that it inherits.

use std::os::fd::{FromRawFd, OwnedFd};
use triveni::kernel::{Fifo, FifoOptions, PipeReader, PipeWriter};
use triveni_tests::kernel::message;

fn inherited(place: &str) -> Option<OwnedFd> {
    // SAFETY: the descriptor was inherited for this role, and nobody else in this program uses it.
    place.parse().ok().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}

fn reader(place: &str) -> PipeReader {
    inherited(place).map_or_else(|| Fifo::open(place).unwrap().reader().unwrap(), PipeReader::from)
}

fn writer(place: &str) -> PipeWriter {
    inherited(place).map_or_else(|| Fifo::open(place).unwrap().writer().unwrap(), PipeWriter::from)
}

fn stay() {
    println!("holding");
    loop {
        std::thread::park();
    }
}

pub fn run(args: &[&str]) {
    match *args {
        ["send", place, n] => {
            let mut end = writer(place);
            for k in 0..n.parse().unwrap() {
                end.send(&message(k)).unwrap();
            }
        }
        ["receive", place, n] => {
            let mut end = reader(place);
            let mut buffer = [0; 64];
            for k in 0..n.parse().unwrap() {
                let size = end.receive(&mut buffer).unwrap();
                assert_eq!(&buffer[..size], message(k), "message {k}");
            }
            assert_eq!(end.receive(&mut buffer).unwrap_err().kind(), triveni::ErrorKind::Closed);
            println!("ok {n}");
        }
        ["count", place] => {
            let end = reader(place);
            let mut buffer = [0; 4096];
            let mut bytes = 0;
            loop {
                match end.read(&mut buffer).unwrap() {
                    0 => break,
                    n => bytes += n,
                }
            }
            println!("ok {bytes}");
        }
        ["hold", place] => {
            let _end = writer(place);
            stay();
        }
        ["own", path] => {
            let _fifo = Fifo::create(path, FifoOptions::default().owned(true)).unwrap();
            stay();
        }
        _ => panic!("no such role: {args:?}"),
    }
}
