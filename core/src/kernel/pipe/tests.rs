use super::without_waiting::{read_spliced, write_spliced};
use super::*;
use crate::deadline::Deadline;
use crate::kernel::own_process::in_its_own_process;
use crate::kernel::{Fifo, FifoOptions};
use std::io::IoSlice;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// Both ends of a FIFO that nobody else has.
fn fifo() -> (Fifo, PipeReader, PipeWriter) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("triveni-unit-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
    let fifo = Fifo::create(std::env::temp_dir().join(name), FifoOptions::default().owned(true)).unwrap();
    let both = std::fs::File::options().read(true).write(true).open(fifo.path()).unwrap();
    let (reader, writer) = (fifo.try_reader().unwrap().unwrap(), fifo.try_writer().unwrap().unwrap());
    drop(both);
    (fifo, reader, writer)
}

/// Does it hold in a child?
fn holds_in_child(does: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child allocates, which the C library allows, and uses nothing else that a thread could hold.
    let child = unsafe { fork(|| i32::from(!does())) }.unwrap();
    child.wait_until(Deadline::after(Duration::from_secs(20))).unwrap().success()
}

fn is_blocking(end: impl AsFd) -> bool {
    !OFlag::from_bits_retain(fcntl(end, FcntlArg::F_GETFL).unwrap()).contains(OFlag::O_NONBLOCK)
}

#[test]
fn trying_leaves_the_description_as_it_is_and_opens_a_second_one_once() {
    let (_fifo, reader, writer) = fifo();
    assert_eq!(reader.try_read(&mut [0; 8]).unwrap(), None);
    assert_eq!(writer.try_write(b"hello").unwrap(), Some(5));
    let opened = (reader.descriptors(), writer.descriptors());
    assert_eq!(writer.try_write(b"hello").unwrap(), Some(5));
    assert_eq!(reader.try_read(&mut [0; 8]).unwrap(), Some(8));
    assert_eq!((reader.descriptors(), writer.descriptors()), opened);
    assert!(is_blocking(&reader) && is_blocking(&writer));
}

#[test]
fn both_descriptions_of_an_end_go_with_its_handle() {
    in_its_own_process(|| {
        let (fifo, reader, writer) = fifo();
        writer.try_write(b"x").unwrap();
        assert_eq!(reader.try_read(&mut [0; 8]).unwrap(), Some(1));
        drop(OwnedFd::from(writer));
        assert_eq!(reader.try_read(&mut [0; 8]).unwrap(), Some(0), "the end: nobody writes any more");
        let writer = fifo.try_writer().unwrap().unwrap();
        writer.try_write(b"x").unwrap();
        close_in_child(std::mem::ManuallyDrop::new(writer).descriptors());
        assert_eq!((reader.try_read(&mut [0; 8]).unwrap(), reader.try_read(&mut [0; 8]).unwrap()), (Some(1), Some(0)));
        let writer = fifo.try_writer().unwrap().unwrap();
        drop(reader);
        assert_eq!(writer.try_write(b"x").unwrap_err().kind(), ErrorKind::Closed);
    });
}

/// A page of room, and several who try to write a page: one does, and nobody waits.
fn one_gets_the_room(reader: &PipeReader, write: impl Fn(&[u8]) -> Option<usize> + Sync) {
    const WRITERS: usize = 3;
    const ROUNDS: usize = 200;
    let (barrier, done) = (Barrier::new(WRITERS + 1), AtomicU32::new(0));
    reader.set_capacity(1).unwrap();
    std::thread::scope(|scope| {
        for letter in 0..WRITERS {
            let (barrier, done, write) = (&barrier, &done, &write);
            scope.spawn(move || {
                let page = [letter as u8; Pipe::ATOMIC];
                for _ in 0..ROUNDS {
                    barrier.wait();
                    if let Some(n) = write(&page) {
                        assert_eq!(n, page.len());
                        done.fetch_add(1, Relaxed);
                    }
                    barrier.wait();
                }
            });
        }
        for round in 0..ROUNDS {
            barrier.wait();
            barrier.wait();
            assert_eq!(done.load(Relaxed), round as u32 + 1);
            let mut page = [9; Pipe::ATOMIC];
            reader.receive_exact(&mut page).unwrap();
            assert!(page.iter().all(|byte| *byte == page[0]));
        }
    });
}

#[test]
fn nobody_waits_where_another_took_the_room() {
    let (_fifo, reader, writer) = fifo();
    one_gets_the_room(&reader, |page| writer.try_write(page).unwrap());
}

#[test]
fn nobody_waits_where_a_fifo_cannot_be_opened_again() {
    in_its_own_process(|| {
        let (_fifo, reader, writer) = fifo();
        one_gets_the_room(&reader, |page| match write_spliced(writer.as_fd(), &[IoSlice::new(page)]) {
            Err(Errno::EAGAIN) => None,
            written => Some(written.unwrap()),
        });
        let mut bytes = [0; 8];
        assert_eq!(read_spliced(reader.as_fd(), &mut bytes), Err(Errno::EAGAIN));
        writer.write(b"hello, world").unwrap();
        assert_eq!((read_spliced(reader.as_fd(), &mut bytes), &bytes), (Ok(8), b"hello, w"));
        assert_eq!(read_spliced(reader.as_fd(), &mut bytes), Ok(4));
        drop(writer);
        assert_eq!(read_spliced(reader.as_fd(), &mut bytes), Ok(0));
    });
}

#[test]
fn a_fifo_needs_no_proc() {
    in_its_own_process(|| {
        let (_fifo, reader, mut writer) = fifo();
        let works = holds_in_child(|| {
            // SAFETY: a path that ends; this child's root is its own.
            if unsafe { libc::chroot(c"/proc/self/fdinfo".as_ptr()) } != 0 {
                eprintln!("SKIPPED: only root can take /proc away");
                return true;
            }
            let long = vec![7; 1 << 20];
            let room = writer.try_write(&long).unwrap().unwrap();
            assert!(room > 0 && writer.descriptors()[1] == -1);
            while writer.try_write(&long).unwrap().is_some() {}
            assert!(!writer.try_send(b"x").unwrap());
            let late = writer.write_until(b"x", Deadline::after(Duration::from_millis(20))).unwrap_err();
            assert_eq!(late.kind(), ErrorKind::Timeout);
            let mut bytes = vec![0; 1 << 20];
            while reader.try_read(&mut bytes).unwrap().is_some() {}
            writer.try_send(b"hello").unwrap() && reader.read_until(&mut bytes, Deadline::never()).unwrap() == 9
        });
        assert!(works);
    });
}

#[test]
fn that_no_descriptor_is_left_is_an_error_and_no_wait() {
    in_its_own_process(|| {
        let (_fifo, _reader, writer) = fifo();
        let says = holds_in_child(|| {
            let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: a limit of this child, from a struct of ours.
            unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &none) };
            let error = writer.try_write(b"x").unwrap_err();
            error.errno() == libc::EMFILE && error.to_string().contains("ulimit -n")
        });
        assert!(says);
    });
}
