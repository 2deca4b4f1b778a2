//! What sockets promise, each in a sentence that can be false.

use super::*;
use crate::deadline::Deadline;
use crate::error::ErrorKind;
use crate::kernel::own_process::in_its_own_process;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// A path that nobody has; removed with the handle.
struct Path(PathBuf);

impl Path {
    fn fresh() -> Path {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Path(std::env::temp_dir().join(format!("tvn-socket-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed))))
    }

    fn address(&self) -> SocketAddress {
        SocketAddress::unix(&self.0).unwrap()
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn abstract_name() -> SocketAddress {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    SocketAddress::unix_abstract(format!("tvn-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed))).unwrap()
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_millis(30))
}

fn late() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

/// Runs a call that must not end before its deadline of 30 ms, and says how it failed.
fn times_out<T: std::fmt::Debug>(call: impl FnOnce(Deadline) -> Result<T>) -> Error {
    let begin = Instant::now();
    let error = call(soon()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(begin.elapsed() >= Duration::from_millis(30));
    error
}

fn tcp() -> (Listener, Stream, Stream) {
    let listener = Listener::bind("tcp:127.0.0.1:0").unwrap();
    let client = Stream::connect(listener.local_address().unwrap()).unwrap();
    let server = listener.accept_until(late()).unwrap();
    (listener, client, server)
}

#[test]
fn every_kind_of_stream_carries_messages_both_ways() {
    let path = Path::fresh();
    for address in ["tcp:127.0.0.1:0".parse().unwrap(), "tcp:[::1]:0".parse().unwrap(), path.address(), abstract_name()]
    {
        let Ok(listener) = Listener::bind(address) else {
            assert!(address.ip().is_some_and(|ip| ip.is_ipv6()), "{address}"); // a system without IPv6
            continue;
        };
        let client = Stream::connect_until(listener.local_address().unwrap(), late()).unwrap();
        let server = listener.accept().unwrap();
        let mut buffer = [0; 100];
        for (from, to) in [(&client, &server), (&server, &client)] {
            from.send(b"hello").unwrap();
            from.send(b"").unwrap();
            assert_eq!(to.receive(&mut buffer).unwrap(), 5);
            assert_eq!(&buffer[..5], b"hello");
            assert_eq!(to.receive_until(&mut buffer, late()).unwrap(), 0);
            assert_eq!(to.try_receive(&mut buffer).unwrap(), None);
        }
        drop(client);
        assert_eq!(server.receive(&mut buffer).unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(server.read(&mut buffer).unwrap(), 0);
    }
}

#[test]
fn every_wait_of_a_stream_has_its_deadline() {
    let (listener, client, _server) = tcp();
    times_out(|until| listener.accept_until(until));
    assert!(listener.try_accept().unwrap().is_none());
    let mut buffer = [0; 8];
    times_out(|until| client.read_until(&mut buffer, until));
    times_out(|until| client.receive_until(&mut buffer, until));
    times_out(|until| client.receive_exact_until(&mut buffer, until));
    let (client, _server) = Stream::pair().unwrap(); // TCP's buffers grow while one looks
    let much = vec![0; 16 << 20];
    let error = times_out(|until| client.send_all_until(&much, until));
    assert!(error.to_string().contains("of them were sent"), "{error}");
    while client.try_write(&much).unwrap().is_some() {}
    times_out(|until| client.write_until(&much, until));
    assert!(!client.try_send(b"x").unwrap());
}

#[test]
fn connecting_to_a_full_queue_ends_at_the_deadline_and_works_once_there_is_room() {
    let address = abstract_name();
    let listener = Listener::bind_with(address, BindOptions::default().backlog(0)).unwrap();
    let _first = Stream::connect(address).unwrap();
    while Stream::try_connect(address).unwrap().is_some() {}
    let error = times_out(|until| Stream::connect_until(address, until));
    assert!(error.to_string().contains("queue"), "{error}");
    let waiting = std::thread::spawn(move || Stream::connect_until(address, late()).map(drop));
    listener.accept_until(late()).unwrap();
    waiting.join().unwrap().unwrap();
    let accepted = listener.accept_until(late()).unwrap();
    // The connection is a plain one again: neither non-blocking nor with a time limit.
    assert_eq!(
        nix::sys::socket::getsockopt(&accepted, nix::sys::socket::sockopt::SendTimeout).unwrap(),
        nix::sys::time::TimeValLike::zero()
    );
}

#[test]
fn connecting_over_tcp_to_a_full_queue_ends_at_the_deadline() {
    let listener = Listener::bind_with("tcp:127.0.0.1:0", BindOptions::default().backlog(0)).unwrap();
    let address = listener.local_address().unwrap();
    let mut connected = Vec::new();
    let error = loop {
        match Stream::connect_until(address, Deadline::after(Duration::from_millis(100))) {
            Ok(stream) => connected.push(stream),
            Err(error) => break error,
        }
        assert!(connected.len() < 100);
    };
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    assert!(Stream::try_connect(address).unwrap().is_none());
}

#[test]
fn a_connection_that_is_being_made_survives_a_deadline() {
    let listener = Listener::bind_with("tcp:127.0.0.1:0", BindOptions::default().backlog(0)).unwrap();
    let address = listener.local_address().unwrap();
    let mut begun = Vec::new();
    while begun.len() < 4 {
        begun.push(Some(Stream::connecting(&address).unwrap()));
        let _ = Stream::connect_on(begun.last_mut().unwrap(), soon());
    }
    let waits = begun.iter_mut().find(|connecting| connecting.is_some()).unwrap();
    for _ in 0..4 {
        let _ = listener.accept_until(soon());
    }
    Stream::connect_on(waits, late()).unwrap();
    assert!(Stream::connect_on(waits, late()).is_err());
}

#[test]
fn nobody_there_is_refused_with_the_address() {
    in_its_own_process(|| {
        let listener = Listener::bind("tcp:127.0.0.1:0").unwrap();
        let address = listener.local_address().unwrap();
        drop(listener);
        for until in [Deadline::never(), late()] {
            let error = Stream::connect_until(address, until).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::System(libc::ECONNREFUSED));
            assert!(error.to_string().contains(&address.to_string()), "{error}");
        }
        let path = Path::fresh();
        assert_eq!(Stream::connect(path.address()).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(Stream::connect(abstract_name()).unwrap_err().kind(), ErrorKind::System(libc::ECONNREFUSED));
        let _datagram = Datagram::bind(path.address()).unwrap();
        assert_eq!(Stream::connect(path.address()).unwrap_err().kind(), ErrorKind::Incompatible);
        for (wrong, socket_type) in [("udp:127.0.0.1:1", "stream"), ("unix", "no address")] {
            let error = Stream::connect(wrong).unwrap_err();
            assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains(socket_type), "{error}");
        }
        assert_eq!(Datagram::bind("tcp:127.0.0.1:0").unwrap_err().kind(), ErrorKind::Invalid);
        assert_eq!(Seqpacket::connect("tcp:127.0.0.1:1").unwrap_err().kind(), ErrorKind::Invalid);
    });
}

#[test]
fn a_taken_port_and_a_privileged_one_say_who_can_help() {
    let listener = Listener::bind("tcp:127.0.0.1:0").unwrap();
    let address = listener.local_address().unwrap();
    let error = Listener::bind(address).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::System(libc::EADDRINUSE));
    assert!(error.to_string().contains(&format!("sport = :{}", address.port().unwrap())), "{error}");
    let error = failure::binding(Errno::EACCES, &"tcp:127.0.0.1:80".parse().unwrap());
    assert!(error.to_string().contains("/proc/sys/net/ipv4/ip_unprivileged_port_start is "), "{error}");
    let error = failure::making(Errno::EMFILE, "make a socket");
    assert!(error.to_string().contains("RLIMIT_NOFILE"), "{error}");
    let error = Listener::bind("tcp:192.0.2.1:0").unwrap_err();
    assert!(error.to_string().contains("ip address"), "{error}");
}

#[test]
fn a_port_can_be_bound_again_at_once() {
    in_its_own_process(|| {
        let (listener, client, server) = tcp();
        let address = listener.local_address().unwrap();
        drop((listener, server)); // the server's end closes first, and lingers
        let _ = client.read(&mut [0]);
        drop(client);
        Listener::bind(address).unwrap();
    });
}

#[test]
fn a_socket_file_has_the_mode_that_was_asked_for_and_goes_with_its_owner() {
    let path = Path::fresh();
    let listener = Listener::bind_with(path.address(), BindOptions::default().owned(true)).unwrap();
    assert_eq!(std::fs::metadata(&path.0).unwrap().mode() & 0o777, 0o600);
    assert_eq!(listener.local_address().unwrap(), path.address());
    drop(listener);
    assert!(!path.0.exists());
    let _listener = Listener::bind_with(path.address(), BindOptions::default().mode(0o640)).unwrap();
    assert_eq!(std::fs::metadata(&path.0).unwrap().permissions().mode() & 0o737, 0o600); // less the umask, which may have 040
}

#[test]
fn a_stale_socket_file_is_found_out_and_replaced_only_if_asked() {
    in_its_own_process(|| {
        let path = Path::fresh();
        drop(UnixListener::bind(&path.0).unwrap());
        let error = Listener::bind(path.address()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::System(libc::EADDRINUSE));
        assert!(error.to_string().contains("a dead server left this file"), "{error}");
        let replace = BindOptions::default().replace_stale(true);
        let live = Listener::bind_with(path.address(), replace).unwrap();
        for stubborn in [BindOptions::default(), replace] {
            let error = Listener::bind_with(path.address(), stubborn).unwrap_err();
            assert!(error.to_string().contains("a live socket has this name"), "{error}");
            let error = Datagram::bind_with(path.address(), stubborn).unwrap_err();
            assert!(error.to_string().contains("a live socket has this name"), "{error}");
        }
        assert!(live.try_accept().unwrap().is_none()); // nobody has knocked to find that out
        drop(live);
        let live = Datagram::bind_with(path.address(), replace).unwrap();
        assert!(SeqpacketListener::bind_with(path.address(), replace).is_err());
        drop(live);
        drop(SeqpacketListener::bind_with(path.address(), replace).unwrap());
    });
}

#[test]
fn a_file_that_is_no_socket_is_never_replaced() {
    let path = Path::fresh();
    std::fs::write(&path.0, "precious").unwrap();
    let error = Listener::bind_with(path.address(), BindOptions::default().replace_stale(true)).unwrap_err();
    assert!(error.to_string().contains("no socket"), "{error}");
    assert_eq!(std::fs::read(&path.0).unwrap(), b"precious");
}

#[test]
fn of_many_servers_that_replace_a_stale_file_one_gets_it() {
    in_its_own_process(|| {
        let path = Path::fresh();
        drop(UnixListener::bind(&path.0).unwrap());
        let address = path.address();
        let racers: Vec<_> = (0..8)
            .map(|_| {
                std::thread::spawn(move || Listener::bind_with(address, BindOptions::default().replace_stale(true)))
            })
            .collect();
        let won: Vec<_> = racers.into_iter().map(|racer| racer.join().unwrap()).filter_map(Result::ok).collect();
        assert_eq!(won.len(), 1);
        let _client = Stream::connect(address).unwrap();
        assert!(won[0].try_accept().unwrap().is_some());
    });
}

#[test]
fn a_listener_that_is_handed_over_blocks_as_any_other() {
    let listener = Listener::bind(abstract_name()).unwrap();
    assert!(listener.try_accept().unwrap().is_none());
    let address = listener.local_address().unwrap();
    let _client = Stream::connect(address).unwrap();
    listener.accept().unwrap(); // also after that
    let plain = UnixListener::from(OwnedFd::from(listener));
    let flags = nix::fcntl::fcntl(&plain, FcntlArg::F_GETFL).unwrap();
    assert_eq!(flags & libc::O_NONBLOCK, 0);
    let flags = nix::fcntl::fcntl(&plain, FcntlArg::F_GETFD).unwrap();
    assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
}

#[test]
fn a_deadline_in_the_middle_of_a_message_loses_nothing() {
    let (a, b) = Stream::pair().unwrap();
    let message: Vec<u8> = (0..200_000).map(|i| i as u8).collect();
    a.set_send_buffer(4096).unwrap();
    times_out(|until| a.send_until(&message, until));
    assert!(a.unsent() > 0);
    let mut buffer = vec![0; message.len()];
    times_out(|until| b.receive_until(&mut buffer, until));
    let receiver = std::thread::spawn(move || {
        let size = b.receive_until(&mut buffer, late()).unwrap();
        buffer.truncate(size);
        let mut small = [0; 2];
        assert_eq!(b.receive_until(&mut small, late()).unwrap(), 2);
        (buffer, small)
    });
    a.send_until(b"ok", late()).unwrap();
    assert_eq!(receiver.join().unwrap(), (message, *b"ok"));
}

#[test]
fn a_message_that_is_too_large_stays_and_a_stream_cut_in_one_says_so() {
    let (a, b) = Stream::pair().unwrap();
    a.send(b"hello").unwrap();
    let error = b.receive(&mut [0; 3]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(b.message_size(late()).unwrap(), 5);
    assert_eq!(b.receive(&mut [0; 5]).unwrap(), 5);
    a.send_all(b"\0\0\0\x09half").unwrap();
    drop(a);
    let error = b.receive(&mut [0; 64]).unwrap_err();
    assert!(error.kind() == ErrorKind::Closed && error.to_string().contains("4 of the 9 bytes"), "{error}");
}

#[test]
fn one_thread_sends_while_another_receives() {
    let (a, b) = Stream::pair().unwrap();
    std::thread::scope(|threads| {
        threads.spawn(|| (0..2000u32).for_each(|i| a.send(&i.to_be_bytes()).unwrap()));
        threads.spawn(|| (0..2000u32).for_each(|i| b.send(&i.to_be_bytes()).unwrap()));
        for end in [&a, &b] {
            threads.spawn(move || {
                let mut number = [0; 4];
                for i in 0..2000u32 {
                    end.receive(&mut number).unwrap();
                    assert_eq!(u32::from_be_bytes(number), i);
                }
            });
        }
    });
}

#[test]
fn writing_to_a_closed_connection_is_an_error_and_no_signal() {
    in_its_own_process(|| {
        let (a, b) = Stream::pair().unwrap();
        drop(b);
        let error = a.send(b"x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
        let (a, b) = Seqpacket::pair().unwrap();
        drop(b);
        assert_eq!(a.send(b"x").unwrap_err().kind(), ErrorKind::Closed);
    });
}

#[test]
fn a_peer_that_closes_with_bytes_unread_resets_the_connection() {
    let (_listener, client, server) = tcp();
    client.send_all(b"never read").unwrap();
    let mut first = [0; 1];
    server.receive_exact_until(&mut first, late()).unwrap();
    drop(server);
    let error = client.read_until(&mut [0; 8], late()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PeerDead, "{error}");
}

#[test]
fn a_stream_can_be_shut_down_in_one_direction() {
    let (_listener, client, server) = tcp();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(server.read_until(&mut [0; 8], late()).unwrap(), 0);
    server.send(b"still").unwrap();
    assert_eq!(client.receive_until(&mut [0; 8], late()).unwrap(), 5);
    assert_eq!(client.send(b"x").unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn streams_read_and_write_as_the_standard_library_does() {
    let (mut a, b) = Stream::pair().unwrap();
    a.write_all(b"line\n").unwrap();
    drop(a);
    let mut text = String::new();
    (&b).read_to_string(&mut text).unwrap();
    assert_eq!(text, "line\n");
}

#[test]
fn datagrams_are_whole_and_say_who_sent_them() {
    let path = Path::fresh();
    for address in ["udp:127.0.0.1:0".parse().unwrap(), path.address(), abstract_name(), SocketAddress::unix_unnamed()]
    {
        let server = Datagram::bind(address).unwrap();
        let client = Datagram::connect(server.local_address().unwrap()).unwrap();
        let mut buffer = [0; 64];
        client.send(b"request").unwrap();
        client.send_until(b"", late()).unwrap();
        let (size, from) = server.receive_from_until(&mut buffer, late()).unwrap();
        assert_eq!((&buffer[..size], from), (&b"request"[..], client.local_address().unwrap()));
        assert_eq!(server.receive_until(&mut buffer, late()).unwrap(), 0); // an empty datagram is one
        assert_eq!(server.try_receive_from(&mut buffer).unwrap(), None);
        server.send_to(b"ACK", &from).unwrap();
        assert!(server.try_send_to(b"ACK", &from).unwrap());
        assert_eq!(client.receive(&mut buffer).unwrap(), 3);
        assert_eq!(client.receive_until(&mut buffer, late()).unwrap(), 3);
        assert_eq!(client.try_receive(&mut buffer).unwrap(), None);
        times_out(|until| client.receive_until(&mut buffer, until));
        times_out(|until| server.receive_from_until(&mut buffer, until));
    }
}

#[test]
fn a_datagram_or_message_that_is_larger_than_the_buffer_stays() {
    let server = Datagram::bind("udp:127.0.0.1:0").unwrap();
    let client = Datagram::connect(server.local_address().unwrap()).unwrap();
    let (a, b) = Datagram::pair().unwrap();
    client.send(b"hello").unwrap();
    a.send(b"hello").unwrap();
    for socket in [&server, &b] {
        for _ in 0..2 {
            let error = socket.receive_until(&mut [0; 3], late()).unwrap_err();
            assert!(
                error.kind() == ErrorKind::TooLarge && error.to_string().contains("has 5 bytes, the buffer 3"),
                "{error}"
            );
        }
        assert_eq!(socket.message_size(late()).unwrap(), 5);
        assert_eq!(socket.receive(&mut [0; 5]).unwrap(), 5);
        assert_eq!(socket.try_message_size().unwrap(), None);
    }
    // One that waits for a larger buffer comes before those behind it, from whom it came, whoever asks.
    client.send(b"larger").unwrap();
    client.send(b"next").unwrap();
    assert_eq!(server.receive(&mut [0; 5]).unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(server.try_receive_from(&mut [0; 5]).unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(server.receive_descriptors(&mut [0; 5], 1).unwrap_err().kind(), ErrorKind::TooLarge);
    let mut buffer = [0; 8];
    assert_eq!(server.receive_descriptors(&mut buffer, 1).unwrap().size, 6);
    assert_eq!(&buffer[..6], b"larger");
    let (size, from) = server.receive_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..size], from), (&b"next"[..], client.local_address().unwrap()));
    client.send(b"from").unwrap();
    assert_eq!(server.try_receive_from(&mut []).unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(server.receive_from(&mut buffer).unwrap(), (4, client.local_address().unwrap()));
    // Also one that was received without asking for its sender, as there is but one.
    server.send_to(b"answer", &client.local_address().unwrap()).unwrap();
    assert_eq!(client.receive(&mut [0; 5]).unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(client.receive_from(&mut buffer).unwrap(), (6, server.local_address().unwrap()));
    let (a, b) = Seqpacket::pair().unwrap();
    a.send(b"hello").unwrap();
    assert_eq!(b.receive(&mut [0; 3]).unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(b.receive(&mut [0; 5]).unwrap(), 5);
}

/// Small buffers get a copy from spare memory, large ones the beginning by themselves: no byte differs at the border.
#[test]
fn a_datagram_is_whole_and_in_place_for_buffers_of_every_size() {
    let (a, b) = Datagram::pair().unwrap();
    a.set_send_buffer(1 << 20).unwrap();
    let bytes: Vec<u8> = (0..20_000u32).map(|i| (i * 7 % 251) as u8).collect();
    for room in [0, 1, 4095, 4096, 4097, 9000] {
        for size in [0, 1, 4095, 4096, 4097, 9000, 20_000] {
            a.send(&bytes[..size]).unwrap();
            let mut buffer = vec![0; room];
            match b.receive(&mut buffer) {
                Ok(got) => assert!(got == size && buffer[..size] == bytes[..size], "{size} into {room}"),
                Err(error) => {
                    assert!(error.kind() == ErrorKind::TooLarge && size > room, "{size} into {room}: {error}");
                    let mut buffer = vec![0; b.message_size(late()).unwrap()];
                    assert!(b.receive(&mut buffer).unwrap() == size && buffer == bytes[..size], "{size} after {room}");
                }
            }
        }
    }
}

#[test]
fn a_message_that_no_buffer_can_hold_is_too_large_to_send() {
    let server = Datagram::bind("udp:127.0.0.1:0").unwrap();
    let client = Datagram::connect(server.local_address().unwrap()).unwrap();
    let much = vec![0; 70_000];
    let error = client.send(&much).unwrap_err();
    assert!(error.kind() == ErrorKind::TooLarge && error.to_string().contains("65507"), "{error}");
    client.send(&much[..65507]).unwrap();
    assert_eq!(server.receive_until(&mut vec![0; 65535], late()).unwrap(), 65507);
    let (a, _b) = Seqpacket::pair().unwrap();
    a.set_send_buffer(8192).unwrap();
    let error = a.send(&much).unwrap_err();
    assert!(
        error.kind() == ErrorKind::TooLarge && error.to_string().contains("/proc/sys/net/core/wmem_max is "),
        "{error}"
    );
}

#[test]
fn a_full_unix_receiver_stops_the_sender_until_its_deadline() {
    let server = Datagram::bind(abstract_name()).unwrap();
    let address = server.local_address().unwrap();
    let client = Datagram::bind("unix:").unwrap();
    while client.try_send_to(b"x", &address).unwrap() {}
    times_out(|until| client.send_to_until(b"x", &address, until));
    let connected = Datagram::connect(address).unwrap();
    assert!(!connected.try_send(b"x").unwrap());
    times_out(|until| connected.send_until(b"x", until));
    let (a, b) = Seqpacket::pair().unwrap();
    while a.try_send(b"x").unwrap() {}
    times_out(|until| a.send_until(b"x", until));
    b.receive(&mut [0; 8]).unwrap();
    a.send_until(b"x", late()).unwrap();
}

#[test]
fn a_description_that_somebody_made_non_blocking_still_waits() {
    let (a, b) = Stream::pair().unwrap();
    let server = Datagram::bind(abstract_name()).unwrap();
    let address = server.local_address().unwrap();
    let client = Datagram::bind("unix:").unwrap();
    while client.try_send_to(b"x", &address).unwrap() {}
    for fd in [a.as_fd(), b.as_fd(), server.as_fd(), client.as_fd()] {
        set_nonblocking(fd, true).unwrap();
    }
    std::thread::scope(|threads| {
        threads.spawn(|| b.receive(&mut [0; 8]).unwrap());
        threads.spawn(|| client.send_to(b"last", &address).unwrap());
        std::thread::sleep(Duration::from_millis(20));
        a.send(b"x").unwrap();
        while server.receive(&mut [0; 8]).unwrap() != 4 {}
    });
}

#[test]
fn what_is_no_socket_is_told() {
    let (reader, _writer) = std::io::pipe().unwrap();
    let stream = Stream::from(OwnedFd::from(reader));
    for error in [stream.read(&mut [0; 8]).unwrap_err(), stream.send(b"x").unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::System(libc::ENOTSOCK), "{error}");
    }
    let (stream, _other) = Stream::pair().unwrap();
    let listener = Listener::from(OwnedFd::from(stream));
    assert!(listener.accept().is_err() && listener.try_accept().is_err());
}

#[test]
fn a_datagram_to_nobody_is_reported() {
    in_its_own_process(|| {
        let client = Datagram::bind("unix:").unwrap();
        let gone = abstract_name();
        let error = client.send_to(b"x", &gone).unwrap_err();
        assert!(
            error.kind() == ErrorKind::System(libc::ECONNREFUSED) && error.to_string().contains(&gone.to_string()),
            "{error}"
        );
        assert_eq!(client.send(b"x").unwrap_err().kind(), ErrorKind::System(libc::ENOTCONN));
        let server = Datagram::bind("udp:127.0.0.1:0").unwrap();
        let client = Datagram::connect(server.local_address().unwrap()).unwrap();
        drop(server);
        client.send(b"lost").unwrap();
        let error = client.receive_until(&mut [0; 8], late()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::System(libc::ECONNREFUSED), "{error}");
        let unconnected = Datagram::bind("udp:127.0.0.1:0").unwrap();
        assert_eq!(unconnected.send(b"x").unwrap_err().kind(), ErrorKind::System(libc::EDESTADDRREQ));
    });
}

#[test]
fn an_empty_message_is_a_message_and_the_end_is_closed() {
    let (a, b) = Seqpacket::pair().unwrap();
    let mut buffer = [0; 8];
    for message in [&b""[..], b"one", b"", b""] {
        a.send(message).unwrap();
    }
    assert_eq!(b.receive(&mut buffer).unwrap(), 0);
    drop(a); // from here on 0 may be the end
    assert_eq!(b.receive(&mut buffer).unwrap(), 3);
    assert_eq!(b.receive_until(&mut buffer, late()).unwrap(), 0);
    assert_eq!(b.try_receive(&mut buffer).unwrap(), Some(0));
    for _ in 0..2 {
        assert_eq!(b.receive(&mut buffer).unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(b.try_receive(&mut buffer).unwrap_err().kind(), ErrorKind::Closed);
    }
}

#[test]
fn descriptors_that_a_stranger_sends_with_an_empty_message_are_closed() {
    in_its_own_process(|| {
        let (sender, receiver) = Seqpacket::pair().unwrap();
        for closed in [false, true] {
            let (reader, writer) = std::io::pipe().unwrap();
            let fds = [writer.as_fd()];
            super::descriptors::send(sender.as_fd(), b"", &fds, 0).unwrap();
            drop(writer);
            if closed {
                sender.shutdown(std::net::Shutdown::Write).unwrap();
            }
            assert_eq!(receiver.receive(&mut [0; 8]).unwrap(), 0);
            let mut ends = [nix::poll::PollFd::new(reader.as_fd(), nix::poll::PollFlags::empty())];
            assert_eq!(nix::poll::poll(&mut ends, nix::poll::PollTimeout::ZERO).unwrap(), 1, "its last writer is gone");
        }
        assert_eq!(receiver.receive(&mut [0; 8]).unwrap_err().kind(), ErrorKind::Closed);
    });
}

#[test]
fn empty_messages_go_to_many_threads_and_none_sees_an_end_before_it() {
    const EACH: usize = 2000;
    let (sender, receiver) = Seqpacket::pair().unwrap();
    let got: usize = std::thread::scope(|scope| {
        let threads = [(); 3].map(|()| {
            scope.spawn(|| {
                let mut got = 0;
                loop {
                    match receiver.receive(&mut [0; 8]) {
                        Ok(_) => got += 1,
                        Err(error) if error.kind() == ErrorKind::Closed => return got,
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        });
        (0..EACH).for_each(|_| sender.send(b"").unwrap());
        sender.shutdown(std::net::Shutdown::Write).unwrap();
        threads.map(|thread| thread.join().unwrap()).into_iter().sum()
    });
    assert!((EACH..EACH + 3).contains(&got), "{got}"); // one too many at the end: see the module
}

#[test]
fn a_seqpacket_server_and_its_client_keep_borders() {
    let path = Path::fresh();
    let listener = SeqpacketListener::bind_with(path.address(), BindOptions::default().owned(true)).unwrap();
    times_out(|until| listener.accept_until(until));
    let client = Seqpacket::connect_until(path.address(), late()).unwrap();
    let server = listener.accept().unwrap();
    client.send(b"one").unwrap();
    client.send(b"three").unwrap();
    let mut buffer = [0; 64];
    assert_eq!(server.receive(&mut buffer).unwrap(), 3);
    assert_eq!(server.receive(&mut buffer).unwrap(), 5);
    let peer = server.peer_credentials().unwrap();
    // SAFETY: no memory is passed; these cannot fail.
    let me = unsafe { (libc::geteuid(), libc::getegid()) };
    assert_eq!((peer.pid, peer.uid, peer.gid), (std::process::id(), me.0, me.1));
    server.shutdown(Shutdown::Both).unwrap();
    assert_eq!(client.receive_until(&mut buffer, late()).unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn only_unix_sockets_pass_descriptors_and_know_their_peer() {
    let (_listener, client, _server) = tcp();
    assert_eq!(client.peer_credentials().unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(client.write_descriptors(b"x", &[client.as_fd()]).unwrap_err().kind(), ErrorKind::Invalid);
    let udp = Datagram::bind("udp:127.0.0.1:0").unwrap();
    assert_eq!(udp.send_descriptors(b"x", &[client.as_fd()]).unwrap_err().kind(), ErrorKind::Invalid);
    let (a, _b) = Stream::pair().unwrap();
    assert_eq!(a.write_descriptors(b"", &[client.as_fd()]).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(a.write_descriptors(b"x", &[client.as_fd(); 254]).unwrap_err().kind(), ErrorKind::TooLarge);
}

#[test]
fn a_descriptor_that_was_passed_is_the_same_open_file() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let (a, b) = Stream::pair().unwrap();
    assert_eq!(a.write_descriptors(b"take", &[reader.as_fd()]).unwrap(), 4);
    let mut buffer = [0; 8];
    let mut received = b.read_descriptors_until(&mut buffer, 4, late()).unwrap();
    assert_eq!((received.size, received.descriptors.len(), received.cut), (4, 1, false));
    writer.write_all(b"!").unwrap();
    let passed = received.descriptors.pop().unwrap();
    assert_eq!(nix::fcntl::fcntl(&passed, FcntlArg::F_GETFD).unwrap(), libc::FD_CLOEXEC);
    let mut byte = [0];
    std::fs::File::from(passed).read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"!");
    times_out(|until| b.read_descriptors_until(&mut buffer, 4, until));
    a.send_all(b"without").unwrap();
    let received = b.read_descriptors(&mut buffer, 4).unwrap();
    assert_eq!((received.size, received.descriptors.len(), received.cut), (7, 0, false));
}

#[test]
fn descriptors_that_were_not_asked_for_are_closed() {
    in_its_own_process(|| {
        let ends = [
            Datagram::pair().map(|(a, b)| (OwnedFd::from(a), OwnedFd::from(b))),
            Seqpacket::pair().map(|(a, b)| (a.into(), b.into())),
        ];
        for (i, pair) in ends.into_iter().enumerate() {
            let (a, b) = pair.unwrap();
            let (reader, mut writer) = std::io::pipe().unwrap();
            let fds = [reader.as_fd(); 253];
            let mut buffer = [0; 8];
            // More than asked for; none asked for; and by a receive that knows nothing of descriptors.
            let counts: Vec<_> = if i == 0 {
                let (a, b) = (Datagram::from(a), Datagram::from(b));
                let counts = [2, 0].map(|most| {
                    a.send_descriptors(b"x", &fds).unwrap();
                    b.receive_descriptors(&mut buffer, most).unwrap()
                });
                a.send_descriptors(b"x", &fds).unwrap();
                b.receive(&mut buffer).unwrap();
                counts.into()
            } else {
                let (a, b) = (Seqpacket::from(a), Seqpacket::from(b));
                let counts = [2, 0].map(|most| {
                    a.send_descriptors_until(b"x", &fds, late()).unwrap();
                    b.receive_descriptors_until(&mut buffer, most, late()).unwrap()
                });
                assert!(a.try_send_descriptors(b"x", &fds).unwrap());
                b.receive(&mut buffer).unwrap();
                counts.into()
            };
            assert_eq!(
                counts
                    .iter()
                    .map(|received| (received.size, received.descriptors.len(), received.cut))
                    .collect::<Vec<_>>(),
                [(1, 2, true), (1, 0, true)]
            );
            drop((counts, reader));
            let error = writer.write_all(b"x").unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EPIPE), "a reader is left");
        }
    });
}

#[test]
fn a_plain_sockets_datagrams_are_understood() {
    let path = Path::fresh();
    let ours = Datagram::bind(path.address()).unwrap();
    let plain = UnixDatagram::unbound().unwrap();
    plain.send_to(b"hi", &path.0).unwrap();
    let (size, from) = ours.receive_from_until(&mut [0; 8], late()).unwrap();
    assert_eq!((size, from), (2, SocketAddress::unix_unnamed())); // a sender without a name
    let ours: Datagram = plain.into();
    ours.send_to(b"again", &path.address()).unwrap();
}

#[test]
fn a_path_that_fills_the_whole_address_is_one_like_any_other() {
    in_its_own_process(|| {
        let folder = Path::fresh();
        std::fs::create_dir(&folder.0).unwrap();
        let filling = |letter: &str| {
            let mut path = folder.0.join(letter).into_os_string();
            path.push(letter.repeat(108 - path.len()));
            Path(path.into())
        };
        // A plain program's socket: 108 bytes, and no zero behind them.
        let theirs = filling("t");
        let plain = UnixDatagram::unbound().unwrap();
        let mut address = libc::sockaddr_un { sun_family: libc::AF_UNIX as libc::sa_family_t, sun_path: [0; 108] };
        for (to, from) in address.sun_path.iter_mut().zip(theirs.0.as_os_str().as_encoded_bytes()) {
            *to = *from as libc::c_char;
        }
        // SAFETY: a whole address, readable for the length of the call.
        let bound = unsafe {
            libc::bind(plain.as_raw_fd(), (&raw const address).cast(), size_of_val(&address) as libc::socklen_t)
        };
        assert_eq!(Errno::result(bound), Ok(0));
        let ours = Datagram::bind(folder.0.join("ours").to_str().map(|path| format!("unix:{path}")).unwrap()).unwrap();
        plain.send_to(b"hi", folder.0.join("ours")).unwrap();
        let (_, from) = ours.receive_from_until(&mut [0; 8], late()).unwrap();
        assert_eq!(from.path(), Some(&*theirs.0));
        assert_eq!(from.to_string().parse::<SocketAddress>().unwrap(), from);
        ours.send_to(b"answer", &from).unwrap();
        assert_eq!(plain.recv(&mut [0; 8]).unwrap(), 6);

        let path = filling("o");
        let options = BindOptions::default().owned(true).replace_stale(true);
        for _ in 0..2 {
            let listener = Listener::bind_with(path.address(), options).unwrap();
            assert!(Listener::bind(path.address()).unwrap_err().to_string().contains("a live socket has this name"));
            let client = Stream::connect(path.address()).unwrap();
            assert_eq!(listener.local_address().unwrap(), path.address());
            assert_eq!(client.peer_address().unwrap(), path.address());
            listener.accept_until(late()).unwrap().send(b"hello").unwrap();
            assert_eq!(client.receive_until(&mut [0; 8], late()).unwrap(), 5);
            drop(OwnedFd::from(listener)); // the file stays behind, and is replaced
        }
        drop((theirs, path));
        std::fs::remove_dir_all(&folder.0).unwrap();
    });
}

#[test]
fn kernel_addresses_of_every_family_are_read_back() {
    for text in ["udp:127.0.0.1:9", "udp:[::1]:9", "unix:@abc", "unix:@", "unix:/a/b", "unix:"] {
        let address: SocketAddress = text.parse().unwrap();
        assert_eq!(call::Raw::of(&address).address(Type::Datagram), Some(address), "{text}");
    }
    let longest: SocketAddress = format!("unix:/{}", "x".repeat(107)).parse().unwrap();
    assert_eq!(call::Raw::of(&longest).address(Type::Stream), Some(longest));
    let longest: SocketAddress = format!("unix:@{}", "x".repeat(107)).parse().unwrap();
    assert_eq!(call::Raw::of(&longest).address(Type::Stream), Some(longest));
}
