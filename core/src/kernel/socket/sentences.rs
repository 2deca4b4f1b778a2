//! The sentences about failed calls, each provoked: they name the object, the value, and what to do.

use super::*;
use std::os::fd::{AsFd, FromRawFd};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A folder of our own, with sockets of every kind in it; gone with the handle.
struct Scene {
    folder: PathBuf,
    datagram: Datagram,
    _others: (Listener, SeqpacketListener),
}

fn fresh() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("tvn-sentence-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed))
}

impl Scene {
    fn new() -> Scene {
        let folder = std::env::temp_dir().join(fresh());
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("file"), "").unwrap();
        symlink("loop", folder.join("loop")).unwrap();
        drop(UnixListener::bind(folder.join("dead")).unwrap());
        let at = |name: &str| SocketAddress::unix(folder.join(name)).unwrap();
        let datagram = Datagram::bind(at("datagram")).unwrap();
        let others = (Listener::bind(at("stream")).unwrap(), SeqpacketListener::bind(at("seqpacket")).unwrap());
        Scene { folder, datagram, _others: others }
    }

    fn at(&self, name: &str) -> SocketAddress {
        SocketAddress::unix(self.folder.join(name)).unwrap()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn address(text: &str) -> SocketAddress {
    text.parse().unwrap()
}

/// Does the sentence name the object, and say all of this?
#[track_caller]
fn says<T>(called: Result<T>, object: impl std::fmt::Display, parts: &[&str]) {
    let Err(error) = called else { panic!("{object}: no error") };
    let (said, object) = (error.to_string(), object.to_string());
    assert!(said.contains(&object), "{said}\nlacks {object}");
    for part in parts {
        assert!(said.contains(part), "{said}\nlacks {part}");
    }
    assert!(!said.contains("(os error"), "{said}");
}

/// Runs on a thread that is another user; not at all where this one may not become one.
fn as_nobody(run: impl FnOnce() + Send) {
    std::thread::scope(|threads| {
        threads.spawn(|| {
            // SAFETY: no memory is passed. The bare call changes this thread's user alone, and the thread ends here.
            if unsafe { libc::syscall(libc::SYS_setresuid, -1, 65534, -1) } == 0 {
                run();
            }
        });
    });
}

#[test]
fn connecting() {
    let scene = Scene::new();
    let unnamed = SocketAddress::unix_unnamed();
    let no_name = ["this is no name", "give the path or the @name"];
    says(Stream::connect(unnamed), "connect to unix:", &no_name);
    says(Stream::try_connect(unnamed), "connect to unix:", &no_name);
    says(Seqpacket::connect(unnamed), "connect to unix:", &no_name);
    says(Datagram::connect(unnamed), "connect to unix:", &no_name);

    let (name, datagrams) = (address(&format!("unix:@{}", fresh())), address(&format!("unix:@{}", fresh())));
    let _listener = Listener::bind(name).unwrap();
    let _datagram = Datagram::bind(datagrams).unwrap();
    let other_type = ["start the server, or connect with the type that it has", "ss -axp"];
    says(Stream::connect(datagrams), datagrams, &[&["no stream socket"], &other_type[..]].concat());
    says(Seqpacket::connect(name), name, &[&["no seqpacket socket"], &other_type[..]].concat());
    says(Datagram::connect(name), name, &[&["no datagram socket"], &other_type[..]].concat());

    for (other, wrong) in [("datagram", "no stream socket"), ("seqpacket", "no stream socket")] {
        let other = scene.at(other);
        says(Stream::connect(other), other, &[wrong, "connect with the type that the server has"]);
    }
    for (name, why) in [
        ("file", "this file is no socket; give the path"),
        ("dead", "nobody listens on this file; the server that made it has ended, or does not listen yet: start it"),
        ("none", "there is no such file; the server makes it when it binds: start it"),
        ("file/x", "Not a directory; give the path"),
        ("loop", "give the path that the server has"),
    ] {
        says(Stream::connect(scene.at(name)), scene.at(name), &[why]);
        says(Datagram::connect(scene.at(name)), scene.at(name), &[why]);
    }
    says(Stream::connect("tcp:127.0.0.1:0"), "tcp:127.0.0.1:0", &["port 0 is nobody's; give the one that the server"]);
    says(Datagram::connect("udp:127.255.255.255:9"), "udp:127.255.255.255:9", &["call set_broadcast first"]);
    let free = Listener::bind("tcp:127.0.0.1:0").unwrap().local_address().unwrap();
    says(Stream::connect(free), free, &["nobody listens there", "ss -tlnp"]);
    as_nobody(|| {
        let mode = ["the right to write to the socket file", "option `mode`", "user 65534"];
        says(Stream::connect(scene.at("stream")), scene.at("stream"), &mode);
    });

    let unreachable = address("tcp:192.0.2.1:9");
    for (errno, parts) in [
        (Errno::EADDRNOTAVAIL, &["/proc/sys/net/ipv4/ip_local_port_range is ", "close some connections"][..]),
        (Errno::ENETUNREACH, &["no way leads there", "ip route"]),
        (Errno::EACCES, &["firewall", "nft list ruleset"]),
        (Errno::ETIMEDOUT, &["no answer in time", "wait longer"]),
        (Errno::ENOBUFS, &["no memory", "try again later"]),
    ] {
        says(Err::<(), _>(failure::connecting(errno, &unreachable, Type::Stream)), unreachable, parts);
    }
    says(Err::<(), _>(failure::late(&name)), name, &["the queue of its listener was full", "wait longer"]);
}

#[test]
fn choosing_a_peer() {
    let scene = Scene::new();
    let of_unix = Datagram::bind("unix:").unwrap();
    let of_ip = Datagram::bind("udp:127.0.0.1:0").unwrap();
    let family = ["its own address is of another family", "bound to an address of that family"];
    for (socket, other) in [(&of_ip, "unix:@x"), (&of_ip, "udp:[::1]:9"), (&of_unix, "udp:127.0.0.1:9")] {
        says(socket.set_peer(&address(other)), other, &family);
        says(socket.send_to(b"x", &address(other)), other, &family);
    }
    scene.datagram.set_peer(&of_unix.local_address().unwrap()).unwrap();
    let third = Datagram::bind("unix:").unwrap();
    let alone = ["talks with another one alone", "send to one that is only bound"];
    says(third.set_peer(&scene.at("datagram")), scene.at("datagram"), &alone);
    says(third.send_to(b"x", &scene.at("datagram")), scene.at("datagram"), &alone);
}

#[test]
fn binding() {
    let scene = Scene::new();
    let end_it = ["a live socket has this name", "`ss -apx` says whose", "End that program, or take another name"];
    says(Listener::bind(scene.at("stream")), scene.at("stream"), &end_it);
    let name = address(&format!("unix:@{}", fresh()));
    let _live = Listener::bind(name).unwrap();
    says(Listener::bind(name), name, &end_it);
    let port = Listener::bind("tcp:127.0.0.1:0").unwrap();
    let taken = port.local_address().unwrap();
    says(Listener::bind(taken), taken, &["the port is taken", "take another port"]);
    for (name, why) in [
        ("dead", "a dead server left this file; remove it, or ask to replace it (replace_stale)"),
        ("file", "it is no socket; take another name"),
        ("none/x", "the folder is not there; make it first"),
        ("file/x", "is a file, not a folder; take another path"),
        ("loop/x", "take another path"),
    ] {
        says(Listener::bind(scene.at(name)), scene.at(name), &[why]);
    }
    for (place, why) in [
        ("unix:/proc/x", "no file can be made in this folder; take another one"),
        ("tcp:192.0.2.1:9", "take one that `ip address` lists"),
    ] {
        says(Listener::bind(place), place, &[why]);
    }
    as_nobody(|| {
        let may_not = format!("user 65534 may not make files in the folder {:?}; take another one", scene.folder);
        says(Listener::bind(scene.at("mine")), scene.at("mine"), &[&may_not]);
        let dead = scene.at("dead");
        says(Listener::bind(dead), dead, &["user 65534 cannot find out whether its server lives", "ask its owner"]);
    });

    let link = address("tcp:[fe80::1]:9");
    says(Err::<(), _>(failure::binding(Errno::EINVAL, &link)), link, &["say on which: [fe80::1%2]:9"]);
    says(Err::<(), _>(failure::connecting(Errno::EINVAL, &link, Type::Stream)), link, &["say on which: [fe80::1%2]:9"]);
    let (file, port) = (scene.at("x"), address("tcp:127.0.0.1:0"));
    for (errno, address, parts) in [
        (Errno::EROFS, file, &["mounted read-only; take a folder on another one"][..]),
        (Errno::ENOSPC, file, &["no room for one more file; remove some"]),
        (Errno::EADDRINUSE, port, &["no port is free", "/proc/sys/net/ipv4/ip_local_port_range is "]),
        (Errno::EACCES, port, &["/proc/sys/net/ipv4/ip_unprivileged_port_start is ", "take a higher port"]),
        (Errno::ENODEV, self::address("tcp:[fe80::1%99]:9"), &["no interface has the number 99; `ip link`"]),
    ] {
        says(Err::<(), _>(failure::binding(errno, &address)), address, parts);
    }
    for (errno, parts) in [
        (Errno::EMFILE, &["RLIMIT_NOFILE", "ulimit -n"][..]),
        (Errno::ENFILE, &["/proc/sys/fs/file-max is ", "close some"]),
        (Errno::EAFNOSUPPORT, &["disable_ipv6", "take an address of IPv4"]),
        (Errno::EPERM, &["a security policy", "ask who administers it"]),
    ] {
        says(Err::<(), _>(failure::making(errno, "make a socket")), "make a socket", parts);
    }
}

#[test]
fn transferring() {
    let scene = Scene::new();
    let of_unix = Datagram::bind("unix:").unwrap();
    let of_ip = Datagram::bind("udp:127.0.0.1:0").unwrap();
    let (own_unix, own_ip) = (of_unix.local_address().unwrap(), of_ip.local_address().unwrap());
    says(of_unix.send_to(b"x", &SocketAddress::unix_unnamed()), own_unix, &["`unix:` is no name that anybody has"]);
    says(of_ip.send_to(b"x", &address("udp:127.0.0.1:0")), own_ip, &["port 0 is nobody's"]);
    says(of_ip.send_to(b"x", &address("udp:127.255.255.255:9")), own_ip, &["call set_broadcast first"]);
    says(of_ip.send(b"x"), own_ip, &["use send_to, or set_peer first"]);
    says(of_unix.send(b"x"), own_unix, &["use send_to, or set_peer first"]);
    says(of_ip.send_to(&vec![0; 70_000], &own_ip), own_ip, &["70000 bytes", "65507", "send it in parts"]);
    of_unix.set_send_buffer(4096).unwrap();
    let much = ["70000 bytes", "set_send_buffer makes it larger", "/proc/sys/net/core/wmem_max is "];
    says(of_unix.send_to(&vec![0; 70_000], &scene.at("datagram")), own_unix, &much);
    for (name, why) in [
        ("none", "there is no such socket file; its server has ended, or has not begun: start it"),
        ("dead", "Start the receiver, and send again"),
        ("file/x", "give the path that the receiver has"),
        ("stream", "the socket there is of another type; send with the type that it has"),
    ] {
        says(of_unix.send_to(b"x", &scene.at(name)), scene.at(name), &[why]);
    }
    as_nobody(|| {
        let called = of_unix.send_to(b"x", &scene.at("datagram"));
        says(called, scene.at("datagram"), &["user 65534 may not write to that socket file", "option `mode`"]);
    });

    let anew = "connect a new one";
    let (ours, theirs) = Stream::pair().unwrap();
    ours.shutdown(Shutdown::Both).unwrap();
    says(ours.send(b"x"), "stream socket", &["receives no more", anew]);
    says(theirs.send(b"x"), "stream socket", &["receives no more", anew]);
    let (ours, theirs) = Stream::pair().unwrap();
    ours.send(b"unread").unwrap();
    drop(theirs);
    says(ours.read(&mut [0; 8]), "stream socket", &["the connection was reset", anew]);
    for place in [scene.at("stream"), own_ip] {
        let nobody = Stream::from(call::socket(&place, Type::Stream, 0).unwrap());
        says(nobody.read(&mut [0; 8]), "receive from stream socket", &["connected to nobody", anew]);
        says(nobody.peer_address(), "for its peer's address", &["connected to nobody", anew]);
    }

    let number = ours.as_fd().as_raw_fd().to_string();
    for (errno, parts) in [
        (Errno::ETOOMANYREFS, &["RLIMIT_NOFILE", "let the receiver receive"][..]),
        (Errno::ETIMEDOUT, &["TCP gave up", anew]),
        (Errno::EBADF, &["closed by some other part of this program", "leave that to the handle"]),
        (Errno::EHOSTUNREACH, &["no way leads there", "ip route"]),
    ] {
        let error = failure::sending(errno, 1, What(ours.as_fd(), Type::Stream));
        says(Err::<(), _>(error), format!("stream socket {number}"), parts);
    }
}

#[test]
fn what_is_not_what_it_should_be() {
    let pipe = || Stream::from(OwnedFd::from(std::io::pipe().unwrap().0));
    let no_socket = ["its descriptor is no socket's", "make the handle of one that is"];
    says(pipe().read(&mut [0; 8]), "receive from stream socket", &no_socket);
    says(pipe().send(b"x"), "send to stream socket", &no_socket);
    says(pipe().local_address(), "for its address", &no_socket);
    says(pipe().set_send_buffer(1), "size the buffer", &no_socket);
    says(Listener::from(OwnedFd::from(pipe())).accept(), "accept at stream socket", &no_socket);
    let connection = Listener::from(OwnedFd::from(Stream::pair().unwrap().0));
    says(connection.accept(), "accept at stream socket", &["it does not listen", "or bind a listener"]);
    let (unix, _peer) = Stream::pair().unwrap();
    says(unix.set_nodelay(true), "TCP_NODELAY on stream socket", &["nothing like that; leave this call out"]);
    let udp = Datagram::bind("udp:127.0.0.1:0").unwrap();
    says(
        udp.send_descriptors(b"x", &[udp.as_fd()]),
        "pass descriptors over datagram socket",
        &["take one with a unix:"],
    );
    // SAFETY: no memory is passed; the descriptor is a new one, and has one owner.
    let netlink = unsafe { OwnedFd::from_raw_fd(libc::socket(libc::AF_NETLINK, libc::SOCK_DGRAM, 0)) };
    says(Datagram::from(netlink).local_address(), "datagram socket", &["neither an IP nor a Unix socket", "make the"]);
}
