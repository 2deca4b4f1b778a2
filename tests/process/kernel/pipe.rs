//! Pipes and FIFOs.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use triveni::kernel::{Fifo, FifoOptions, Pipe, PipeReader, PipeWriter, pipe};
use triveni::{Deadline, ErrorKind};
use triveni_tests::kernel::{End, INHERITED, message, owned_by};
use triveni_tests::{PATIENCE, wait_for, watchdog};

const N: u64 = 200;
const SHORT: Duration = Duration::from_millis(30);

/// A path of a FIFO that nobody else has; removed when dropped.
struct Place(PathBuf);

impl Place {
    fn fresh(what: &str) -> Place {
        Place(std::env::temp_dir().join(format!("triveni-test-{what}-{}", std::process::id())))
    }

    fn text(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0); // the test may have done it
    }
}

#[test]
fn a_pipe_carries_messages_between_all_languages_and_plain_programs() {
    let _watchdog = watchdog("pipes", PATIENCE);
    for (a, b) in End::pairs() {
        let Pipe { reader, writer } = pipe().unwrap();
        let fd = &INHERITED.to_string();
        let receiver = b.start_with("pipe", &["receive", fd, &N.to_string()], OwnedFd::from(reader));
        let sender = a.start_with("pipe", &["send", fd, &N.to_string()], OwnedFd::from(writer));
        sender.succeeds();
        assert_eq!(receiver.succeeds(), [format!("ok {N}")], "{a:?} to {b:?}");
    }
}

#[test]
fn a_fifo_carries_messages_between_programs_that_are_not_related() {
    let _watchdog = watchdog("FIFOs", PATIENCE);
    for (a, b) in End::pairs() {
        let place = Place::fresh("fifo");
        let fifo = Fifo::create(&place.0, FifoOptions::default()).unwrap();
        let receiver = b.start("pipe", &["receive", place.text(), &N.to_string()]);
        a.start("pipe", &["send", place.text(), &N.to_string()]).succeeds();
        assert_eq!(receiver.succeeds(), [format!("ok {N}")], "{a:?} to {b:?}");
        drop(fifo);
        assert!(place.0.exists(), "a FIFO outlives its maker unless he owns it");
        Fifo::unlink(&place.0).unwrap();
    }
}

#[test]
fn a_pipe_ends_with_its_last_writer_even_if_that_is_killed() {
    let _watchdog = watchdog("a killed writer", PATIENCE);
    for end in End::ALL {
        let Pipe { mut reader, writer } = pipe().unwrap();
        let mut holder = end.start_with("pipe", &["hold", &INHERITED.to_string()], OwnedFd::from(writer));
        holder.says("holding");
        assert_eq!(reader.try_read(&mut [0; 8]).unwrap(), None);
        let waits = std::thread::spawn(move || reader.receive(&mut [0; 8]).unwrap_err().kind());
        holder.kill();
        assert_eq!(waits.join().unwrap(), ErrorKind::Closed, "{end:?}");
    }
}

#[test]
fn a_writer_without_a_reader_gets_closed() {
    let Pipe { reader, mut writer } = pipe().unwrap();
    drop(reader);
    assert_eq!(writer.send(&message(1)).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(writer.try_write(b"x").unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(writer.write_until(b"x", Deadline::after(PATIENCE)).unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn small_messages_of_many_writers_are_never_mixed() {
    let _watchdog = watchdog("many writers", PATIENCE);
    let Pipe { mut reader, writer } = pipe().unwrap();
    let fd = OwnedFd::from(writer);
    let senders = End::ALL
        .map(|end| end.start_with("pipe", &["send", &INHERITED.to_string(), &N.to_string()], fd.try_clone().unwrap()));
    drop(fd);
    let mut next = Vec::new();
    let mut buffer = [0; 64];
    while let Ok(size) = reader.receive(&mut buffer) {
        let k = u64::from_le_bytes(buffer[..8].try_into().unwrap());
        assert_eq!(&buffer[..size], message(k));
        next.push(k);
    }
    senders.into_iter().for_each(|sender| drop(sender.succeeds()));
    next.sort_unstable();
    let expected: Vec<u64> = (0..N).flat_map(|k| [k; 5]).collect();
    assert_eq!(next, expected);
}

#[test]
fn opening_a_fifo_that_nobody_opens_ends_with_the_deadline() {
    let place = Place::fresh("alone");
    let fifo = Fifo::create(&place.0, FifoOptions::default()).unwrap();
    let short = Duration::from_millis(30);
    let begin = Instant::now();
    assert_eq!(fifo.reader_until(Deadline::after(short)).unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(fifo.writer_until(Deadline::after(short)).unwrap_err().kind(), ErrorKind::Timeout);
    assert!(begin.elapsed() >= 2 * short);
    assert!(fifo.try_reader().unwrap().is_none() && fifo.try_writer().unwrap().is_none());
}

#[test]
fn a_full_fifo_stops_a_writer_no_longer_than_its_deadline() {
    let _watchdog = watchdog("a full FIFO", PATIENCE);
    let place = Place::fresh("full");
    let fifo = Fifo::create(&place.0, FifoOptions::default()).unwrap();
    let both = std::fs::File::options().read(true).write(true).open(&place.0).unwrap();
    let (mut reader, mut writer) = (fifo.try_reader().unwrap().unwrap(), fifo.try_writer().unwrap().unwrap());
    let long = vec![7; 1 << 20];
    let room = writer.try_write(&long).unwrap().unwrap();
    assert_eq!(room, writer.capacity().unwrap());
    assert_eq!(writer.try_write(b"x").unwrap(), None);
    assert!(!writer.try_send(b"x").unwrap());
    assert_eq!(writer.write_until(b"x", Deadline::after(SHORT)).unwrap_err().kind(), ErrorKind::Timeout);
    let mut bytes = vec![0; room];
    reader.receive_exact_until(&mut bytes, Deadline::after(PATIENCE)).unwrap();
    assert!(bytes == long[..room] && reader.try_read(&mut bytes).unwrap().is_none());
    assert_eq!(writer.send_until(&long, Deadline::after(SHORT)).unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(writer.unsent(), long.len() + 4 - room);
    let mut message = vec![0; long.len()];
    while writer.unsent() > 0 {
        assert_eq!(reader.try_receive(&mut message).unwrap(), None);
        writer.try_flush().unwrap();
    }
    assert_eq!(reader.try_receive(&mut message).unwrap(), Some(long.len()));
    drop((both, reader));
    assert_eq!(writer.try_write(b"x").unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn a_fifo_is_opened_within_its_deadline_once_the_other_comes() {
    let _watchdog = watchdog("FIFOs with deadlines", PATIENCE);
    for end in End::ALL {
        let place = Place::fresh("late");
        let fifo = Fifo::create(&place.0, FifoOptions::default()).unwrap();
        let peer = end.start("pipe", &["send", place.text(), "3"]);
        let mut reader = fifo.reader_until(Deadline::after(PATIENCE)).unwrap();
        let mut buffer = [0; 64];
        for k in 0..3 {
            let size = reader.receive_until(&mut buffer, Deadline::after(PATIENCE)).unwrap();
            assert_eq!(&buffer[..size], message(k), "{end:?}");
        }
        assert_eq!(reader.receive(&mut buffer).unwrap_err().kind(), ErrorKind::Closed);
        drop(reader);
        peer.succeeds();
        let peer = end.start("pipe", &["receive", place.text(), "3"]);
        let mut writer = fifo.writer_until(Deadline::after(PATIENCE)).unwrap();
        (0..3).for_each(|k| writer.send_until(&message(k), Deadline::after(PATIENCE)).unwrap());
        drop(writer);
        assert_eq!(peer.succeeds(), ["ok 3"], "{end:?}");
    }
}

#[test]
fn a_pipe_synchronises_by_itself_a_full_one_stops_its_writer_and_an_empty_one_its_reader() {
    let _watchdog = watchdog("a full pipe", PATIENCE);
    for end in End::ALL {
        let Pipe { mut reader, writer } = pipe().unwrap();
        reader.set_capacity(4096).unwrap();
        let fd = &INHERITED.to_string();
        let mut sender = end.start_with("pipe", &["send", fd, "2000"], OwnedFd::from(writer));
        // 2000 messages of 31 bytes on average fill it many times: the sender cannot have ended.
        wait_for("the pipe is full", || reader.len().unwrap() > 4096 - 52);
        assert!(!sender.has_ended(), "{end:?}");
        let mut buffer = [0; 64];
        for k in 0..2000 {
            let size = reader.receive(&mut buffer).unwrap();
            assert_eq!(&buffer[..size], message(k), "{end:?}");
        }
        sender.succeeds();
        assert_eq!(reader.receive(&mut buffer).unwrap_err().kind(), ErrorKind::Closed);
    }
}

#[test]
fn a_pipe_has_one_direction() {
    let Pipe { reader, writer } = pipe().unwrap();
    let (wrong_writer, wrong_reader) =
        (PipeWriter::from(OwnedFd::from(reader)), PipeReader::from(OwnedFd::from(writer)));
    assert_eq!(wrong_writer.write(b"x").unwrap_err().errno(), libc::EBADF);
    assert_eq!(wrong_writer.try_write(b"x").unwrap_err().errno(), libc::EBADF);
    assert_eq!(wrong_reader.read(&mut [0; 1]).unwrap_err().errno(), libc::EBADF);
    assert_eq!(wrong_reader.read_until(&mut [0; 1], Deadline::after(PATIENCE)).unwrap_err().errno(), libc::EBADF);
}

#[test]
fn an_anonymous_pipe_is_for_relatives_a_program_that_did_not_inherit_it_has_no_way_to_it() {
    let _watchdog = watchdog("a stranger", PATIENCE);
    let Pipe { mut reader, writer } = pipe().unwrap();
    for end in End::ALL {
        let ended = end.start("pipe", &["send", &INHERITED.to_string(), "1"]).end();
        assert!(!ended.status.success(), "{end:?}");
    }
    assert_eq!(reader.try_receive(&mut [0; 64]).unwrap(), None);
    drop(writer);
    assert_eq!(
        reader.receive(&mut [0; 64]).unwrap_err().kind(),
        ErrorKind::Closed,
        "close-on-exec: nobody else has it"
    );
}

#[test]
fn a_descriptor_that_somebody_closed_is_an_error_and_no_wait() {
    let Pipe { reader, writer: _writer } = pipe().unwrap();
    let number = reader.as_fd().as_raw_fd();
    let reader = std::mem::ManuallyDrop::new(reader); // it would close the number once more
    // SAFETY: the number is ours; the handle is used only to see that the system refuses it.
    unsafe { libc::close(number) };
    let error = reader.read_until(&mut [0; 1], Deadline::after(PATIENCE)).unwrap_err();
    assert!(error.errno() == libc::EBADF && error.to_string().contains(&format!("pipe {number}")), "{error}");
}

#[test]
fn what_a_killed_owner_leaves_is_known_and_can_be_removed() {
    let _watchdog = watchdog("a leftover", PATIENCE);
    for end in End::OURS {
        let place = Place::fresh("owned");
        let mut owner = end.start("pipe", &["own", place.text()]);
        owner.says("holding");
        let pid = owner.pid();
        assert_eq!(owned_by(pid).unwrap().remove().unwrap_err().kind(), ErrorKind::Busy);
        owner.kill();
        let left = owned_by(pid).unwrap();
        assert!(left.left && left.name == place.0.as_os_str() && left.kind.name() == "fifo", "{end:?}: {left:?}");
        let taken = Fifo::create(&place.0, FifoOptions::default()).unwrap_err();
        assert!(taken.kind() == ErrorKind::Exists && taken.to_string().contains(&format!("process {pid}")), "{taken}");
        left.remove().unwrap();
        assert!(!place.0.exists() && owned_by(pid).is_none(), "{end:?}");
    }
}

#[test]
fn a_leftovers_name_that_somebody_took_anew_is_not_removed() {
    let place = Place::fresh("anew");
    let mut owner = End::Rust.start("pipe", &["own", place.text()]);
    owner.says("holding");
    let pid = owner.pid();
    owner.kill();
    let left = owned_by(pid).unwrap();
    std::fs::remove_file(&place.0).unwrap();
    let _mine = Fifo::create(&place.0, FifoOptions::default()).unwrap();
    left.remove().unwrap();
    assert!(place.0.exists() && owned_by(pid).is_none());
}

#[test]
fn the_word_of_another_user_removes_nothing_of_ours() {
    let _watchdog = watchdog("another user's record", PATIENCE);
    // SAFETY: geteuid takes nothing.
    if unsafe { libc::geteuid() } != 0 {
        return eprintln!("SKIPPED: only root can write records of another user");
    }
    let place = Place::fresh("theirs");
    let mut owner = End::Rust.start("pipe", &["own", place.text()]);
    owner.says("holding");
    let pid = owner.pid();
    owner.kill();
    const OTHER: u32 = 4_242_424;
    let theirs = PathBuf::from(format!("/dev/shm/triveni-owned.{OTHER}"));
    let record = std::fs::read_dir("/dev/shm/triveni-owned.0").unwrap().flatten().map(|entry| entry.path());
    let record =
        record.into_iter().find(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{pid}-")));
    let record = record.unwrap();
    let _ = std::fs::create_dir(&theirs); // an earlier run may have left it
    let copy = theirs.join(record.file_name().unwrap());
    std::fs::copy(&record, &copy).unwrap();
    std::fs::remove_file(&record).unwrap();
    for path in [&theirs, &copy] {
        std::os::unix::fs::chown(path, Some(OTHER), Some(OTHER)).unwrap();
    }
    let found = owned_by(pid).unwrap();
    let error = found.remove().unwrap_err();
    let there = place.0.exists();
    std::fs::remove_dir_all(&theirs).unwrap();
    assert!(found.left && found.uid == OTHER && there, "{found:?}");
    assert!(error.kind() == ErrorKind::Permission && error.to_string().contains("4242424"), "{error}");
}
