//! Sockets: our ends with each other and with plain programs.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};
use triveni::kernel::{BindOptions, Datagram, Listener, Seqpacket, SocketAddress, Stream};
use triveni::{Deadline, ErrorKind, Result};
use triveni_tests::kernel::{End, message, owned_by};
use triveni_tests::{PATIENCE, watchdog};

const N: u64 = 100;

/// A path that nobody else has; what is there is removed when dropped.
struct Place(PathBuf);

impl Place {
    fn fresh() -> Place {
        Place(std::env::temp_dir().join(format!("triveni-test-socket-{}", fresh())))
    }

    fn address(&self) -> String {
        format!("unix:{}", self.0.display())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0); // the test may have done it
    }
}

fn fresh() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed))
}

fn nameless() -> SocketAddress {
    SocketAddress::unix_abstract(format!("triveni-test-{}", fresh())).unwrap()
}

fn late() -> Deadline {
    Deadline::after(PATIENCE)
}

#[test]
fn sockets_connect_programs_that_are_not_related_in_both_directions() {
    let _watchdog = watchdog("sockets", PATIENCE);
    for (server, client) in End::pairs() {
        let places = [Place::fresh(), Place::fresh()];
        let what = [
            "stream=tcp:127.0.0.1:0".to_string(),
            format!("stream={}", places[0].address()),
            format!("seqpacket={}", nameless()),
            "datagram=udp:127.0.0.1:0".to_string(),
            format!("datagram={}", places[1].address()),
            format!("pass={}", nameless()),
        ];
        let n = N.to_string();
        let args = |role, what: &[String]| [vec![role, n.clone()], what.to_vec()].concat();
        let start =
            |end: End, args: Vec<String>| end.start("sockets", &args.iter().map(String::as_str).collect::<Vec<_>>());
        let mut serves = start(server, args("serve".into(), &what));
        let there: Vec<String> = what.iter().map(|_| serves.line()).collect();
        assert_eq!(start(client, args("ask".into(), &there)).succeeds(), ["ok"], "{server:?} serves {client:?}");
        assert_eq!(serves.succeeds(), ["ok"], "{server:?} serves {client:?}");
    }
}

#[test]
fn a_socket_is_bound_to_its_process_a_killed_server_ends_its_clients_at_once() {
    let _watchdog = watchdog("killed servers", PATIENCE);
    for (i, client) in End::ALL.into_iter().enumerate() {
        for address in ["tcp:127.0.0.1:0".to_string(), nameless().to_string()] {
            let server = End::ALL[(i + 1) % 5];
            let mut holds = server.start("sockets", &["hold", &address]);
            let there = holds.line();
            let mut waits = client.start("sockets", &["wait", &there]);
            waits.says("waiting");
            holds.says("holding");
            holds.kill();
            assert_eq!(waits.succeeds(), ["ended"], "{client:?} of {server:?} over {there}");
        }
    }
}

#[test]
fn a_peer_that_is_killed_in_a_message_cuts_it_and_that_is_told() {
    let _watchdog = watchdog("killed in a message", PATIENCE);
    let listener = Listener::bind(nameless()).unwrap();
    let address = listener.local_address().unwrap().to_string();
    for end in End::ALL {
        let mut half = end.start("sockets", &["half", &address]);
        let stream = listener.accept_until(late()).unwrap();
        assert_eq!(stream.peer_credentials().unwrap().pid, half.pid(), "{end:?}");
        half.says("holding");
        let early = stream.receive_until(&mut [0; 128], Deadline::after(Duration::from_millis(10))).unwrap_err();
        assert_eq!(early.kind(), ErrorKind::Timeout);
        half.kill();
        let error = stream.receive(&mut [0; 128]).unwrap_err();
        assert!(
            error.kind() == ErrorKind::Closed && error.to_string().contains("4 of the 100 bytes"),
            "{end:?}: {error}"
        );
    }
}

#[test]
fn what_a_killed_server_leaves_is_known_found_out_and_replaced() {
    let _watchdog = watchdog("a leftover socket", PATIENCE);
    for end in End::OURS {
        let place = Place::fresh();
        let mut owner = end.start("sockets", &["own", &place.address()]);
        owner.says("holding");
        let pid = owner.pid();
        owner.kill();
        let left = owned_by(pid).unwrap();
        assert!(left.left && left.name == place.0.as_os_str() && left.kind.name() == "socket", "{end:?}: {left:?}");
        let refused = Stream::connect(place.address()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::System(libc::ECONNREFUSED), "{refused}");
        let taken = Listener::bind(place.address()).unwrap_err();
        assert!(taken.to_string().contains(&format!("process {pid}")), "{taken}");
        let again = Listener::bind_with(place.address(), BindOptions::default().replace_stale(true)).unwrap();
        left.remove().unwrap(); // the record; what has the name now is another's
        drop(Stream::connect(place.address()).unwrap());
        drop(again);
    }
}

#[test]
fn sockets_synchronise_by_themselves_a_receiver_sleeps_and_a_full_one_stops_the_sender() {
    let (a, b) = Stream::pair().unwrap();
    let sender = std::thread::spawn(move || {
        a.set_send_buffer(4096).unwrap();
        for k in 0..5000 {
            a.send(&message(k)).unwrap();
        }
    });
    let mut buffer = [0; 64];
    for k in 0..5000 {
        let size = b.receive_until(&mut buffer, late()).unwrap();
        assert_eq!(&buffer[..size], message(k));
    }
    assert_eq!(b.receive(&mut buffer).unwrap_err().kind(), ErrorKind::Closed);
    sender.join().unwrap();
}

#[test]
fn udp_may_lose_but_tears_nothing_and_tcp_loses_nothing() {
    const SENT: u32 = 2000;
    let whole = |i: u32| i.to_be_bytes().repeat(100);
    let server = Datagram::bind("udp:127.0.0.1:0").unwrap();
    server.set_receive_buffer(4096).unwrap();
    let client = Datagram::connect(server.local_address().unwrap()).unwrap();
    (0..SENT).for_each(|i| client.send(&whole(i)).unwrap());
    let mut buffer = [0; 1000];
    let mut received = 0;
    while let Some(size) = server.try_receive(&mut buffer).unwrap() {
        assert_eq!(&buffer[..size], whole(u32::from_be_bytes(buffer[..4].try_into().unwrap())));
        received += 1;
    }
    assert!((1..SENT).contains(&received), "{received} of {SENT}: the buffer is too small for all");

    let listener = Listener::bind("tcp:127.0.0.1:0").unwrap();
    let address = listener.local_address().unwrap();
    let sender = std::thread::spawn(move || {
        let client = Stream::connect(address).unwrap();
        client.set_send_buffer(4096).unwrap();
        (0..SENT).for_each(|i| client.send_until(&whole(i), late()).unwrap());
    });
    let stream = listener.accept_until(late()).unwrap();
    for i in 0..SENT {
        let size = stream.receive_until(&mut buffer, late()).unwrap();
        assert_eq!(&buffer[..size], whole(i));
    }
    sender.join().unwrap();
}

/// A signal to this thread every 3 ms while `call` runs: a handler without SA_RESTART, so that system calls end.
fn in_a_storm<T>(call: impl FnOnce() -> T) -> T {
    extern "C" fn nothing(_: libc::c_int) {}
    static OVER: AtomicBool = AtomicBool::new(false);
    // SAFETY: an all-zero sigaction with a handler that does nothing is one.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as *const () as libc::sighandler_t;
        assert_eq!(libc::sigaction(libc::SIGUSR2, &action, std::ptr::null_mut()), 0);
    }
    // SAFETY: no memory is passed.
    let (me, pid) = unsafe { (libc::syscall(libc::SYS_gettid), libc::getpid()) };
    OVER.store(false, Relaxed);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            while !OVER.load(Relaxed) {
                std::thread::sleep(Duration::from_millis(3));
                // SAFETY: no memory is passed; the thread lives until the scope ends.
                unsafe { libc::syscall(libc::SYS_tgkill, pid, me, libc::SIGUSR2) };
            }
        });
        let answer = call();
        OVER.store(true, Relaxed);
        answer
    })
}

#[test]
fn a_storm_of_signals_neither_ends_a_wait_nor_moves_its_deadline() {
    let _watchdog = watchdog("signals", PATIENCE);
    let patience = Duration::from_millis(60);
    let held = |what: &str, wait: &dyn Fn(Deadline) -> Result<()>| {
        let begin = Instant::now();
        let error = wait(Deadline::after(patience)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{what}: {error}");
        assert!(begin.elapsed() >= patience, "{what} ended early");
        let error = wait(Deadline::after(PATIENCE).interruptible()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Interrupted, "{what}: {error}");
    };
    let listener = Listener::bind_with(nameless(), BindOptions::default().backlog(0)).unwrap();
    let address = listener.local_address().unwrap();
    let (a, b) = Stream::pair().unwrap();
    while a.try_write(&[0; 4096]).unwrap().is_some() {}
    let (c, d) = Seqpacket::pair().unwrap();
    while c.try_send(b"x").unwrap() {}
    let full = Datagram::bind(nameless()).unwrap();
    let to = full.local_address().unwrap();
    let client = Datagram::bind("unix:").unwrap();
    while client.try_send_to(b"x", &to).unwrap() {}
    let accepted = in_a_storm(|| {
        held("accept", &|until| listener.accept_until(until).map(drop));
        held("write", &|until| a.write_until(b"x", until).map(drop));
        held("read", &|until| a.read_until(&mut [0; 8], until).map(drop));
        held("receive", &|until| d_empty(&c, until));
        held("send", &|until| c.send_until(b"x", until));
        held("send_to", &|until| client.send_to_until(b"x", &to, until));
        held("receive_from", &|until| client.receive_from_until(&mut [0; 8], until).map(drop));
        while Stream::try_connect(address).unwrap().is_some() {}
        held("connect", &|until| Stream::connect_until(address, until).map(drop));
        // And for ever: what comes after some signals is received all the same.
        std::thread::scope(|threads| {
            threads.spawn(|| {
                std::thread::sleep(Duration::from_millis(20));
                b.send(b"after").unwrap();
            });
            a.receive(&mut [0; 8]).unwrap()
        })
    });
    assert_eq!(accepted, 5);
    drop(d);
}

/// Nothing comes from the other end, which never sends.
fn d_empty(socket: &Seqpacket, until: Deadline) -> Result<()> {
    socket.receive_until(&mut [0; 8], until).map(drop)
}

#[test]
fn a_client_whose_queue_is_full_waits_until_the_server_accepts() {
    let _watchdog = watchdog("a full queue", PATIENCE);
    let listener = Listener::bind_with(nameless(), BindOptions::default().backlog(0)).unwrap();
    let address = listener.local_address().unwrap().to_string();
    let mut clients: Vec<_> = End::ALL.iter().map(|end| end.start("sockets", &["wait", &address])).collect();
    for _ in &clients {
        drop(listener.accept_until(late()).unwrap());
    }
    for client in &mut clients {
        client.says("waiting");
        client.says("ended");
    }
}
