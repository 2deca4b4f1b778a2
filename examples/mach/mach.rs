//! Ports as in Mach: rights that go over in messages, calls, sets, notifications; and processes that name each other.
//!
//! ```text
//! mach                          the whole story: a printer, a desk and three clients; an answerer and three callers
//! mach printer CLIENTS          receives pages and questions, until nobody can send any more
//! mach desk CLIENTS             gives each client that calls a right to send to the printer
//! mach client NAME CLIENTS      asks the desk, prints three pages, asks how many there are, and hears that the printer ends
//! mach answerer CALLERS         receives from anybody, and learns by whom (asymmetric naming)
//! mach caller NAME              sends to the answerer and receives from the answerer (symmetric naming)
//! ```
//!
//! Each process may be Rust, C or Python. They share the segment `mach`.

use triveni::{Deadline, ErrorKind, PortEvent, PortSet, Result, Segment};
use triveni_examples::{finish, fresh, start};

const PAGES: u32 = 3;
/// What a message in a port has at most, unless it was made otherwise.
const SIZE: usize = 1024;

fn segment() -> Result<Segment> {
    Segment::open_or_create("mach", Segment::DEFAULT_SIZE)
}

/// Nobody begins before all ports are there.
fn begin(segment: &Segment, clients: u32) -> Result<()> {
    segment.barrier("begin", clients + 2)?.wait().map(drop)
}

fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| ErrorKind::Invalid.into())
}

fn printer(clients: u32) -> Result<()> {
    let segment = segment()?;
    let (pages, questions) = (segment.port("printer")?, segment.port("questions")?);
    let notices = segment.port("printer's notices")?;
    pages.request_notification(PortEvent::NoSenders, &notices)?;
    let mut ports = PortSet::new()?;
    for port in [&pages, &questions, &notices] {
        ports.add(port)?;
    }
    begin(&segment, clients)?;
    let (mut buffer, mut printed, mut can_come) = ([0; SIZE], 0, true);
    loop {
        let received = if can_come { Some(ports.receive(&mut buffer)?) } else { ports.try_receive(&mut buffer)? };
        let Some((_, delivery)) = received else { break };
        if delivery.notification.is_some() {
            can_come = false; // but what was sent before is printed
        } else if let Some(reply) = delivery.reply {
            reply.send(printed.to_string().as_bytes())?;
        } else {
            printed += 1;
        }
    }
    println!("printer: {printed} pages printed, and nobody can send any more");
    Ok(())
}

fn desk(clients: u32) -> Result<()> {
    let segment = segment()?;
    let desk = segment.port("desk")?;
    begin(&segment, clients)?;
    let printer = segment.open_port("printer")?;
    for _ in 0..clients {
        let call = desk.receive(&mut [0; SIZE])?;
        let (reply, right) = (call.reply.ok_or(ErrorKind::Invalid)?, printer.send_right()?);
        reply.send_rights(b"please", &[&right], Deadline::never())?;
        match right.send(b"one page for myself") {
            Err(error) if error.kind() == ErrorKind::NotOwner => {
                println!("desk: a right that was given away is refused")
            }
            other => panic!("a right that was given away was used: {other:?}"),
        }
    }
    Ok(())
}

fn client(name: &str, clients: u32) -> Result<()> {
    let segment = segment()?;
    let notices = segment.port(&format!("{name}'s notices"))?;
    begin(&segment, clients)?;
    let (desk, questions) = (segment.open_port("desk")?, segment.open_port("questions")?);
    questions.request_notification(PortEvent::DeadName, &notices)?;
    let mut buffer = [0; SIZE];
    let mut rights = desk.call(name.as_bytes(), &mut buffer, Deadline::never())?.rights;
    let printer = rights.pop().ok_or(ErrorKind::Invalid)?;
    for page in 0..PAGES {
        printer.send(format!("{name} {page}").as_bytes())?;
    }
    let answer = questions.call(b"how many?", &mut buffer, Deadline::never())?;
    let printed: u32 = text(&buffer[..answer.size])?.parse().map_err(|_| ErrorKind::Invalid)?;
    assert!(printed <= clients * PAGES);
    drop(printer);
    match notices.receive(&mut buffer)?.notification {
        Some(told) if told.event == PortEvent::DeadName => {
            println!("{name}: {PAGES} pages sent; then dead_name of {}: nobody receives there any more", told.port);
            Ok(())
        }
        other => panic!("something else was told: {other:?}"),
    }
}

fn answerer(callers: u32) -> Result<()> {
    let me = segment()?.process("answerer")?;
    for _ in 0..callers {
        let (caller, _) = me.receive(&mut [0; SIZE], Deadline::never())?;
        me.send(&caller, format!("good morning, {caller}").as_bytes(), Deadline::never())?;
    }
    println!("answerer: {callers} callers answered, whoever they were");
    Ok(())
}

fn caller(name: &str) -> Result<()> {
    let me = segment()?.process(name)?;
    me.send("answerer", b"good morning", Deadline::never())?;
    let mut buffer = [0; SIZE];
    let answer = me.receive_from("answerer", &mut buffer, Deadline::never())?;
    println!("{name} heard: {}", text(&buffer[..answer.size])?);
    Ok(())
}

fn story() -> Result<()> {
    fresh("mach");
    let mut processes = Vec::new();
    for role in ["printer", "desk", "answerer"] {
        processes.push(start(&[role, "3"])?);
    }
    for name in ["ada", "bob", "eve"] {
        processes.push(start(&["client", name, "3"])?);
    }
    for name in ["tom", "kim", "joe"] {
        processes.push(start(&["caller", name])?);
    }
    finish(processes)?;
    fresh("mach");
    Ok(())
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |text: &str| text.parse().map_err(|_| ErrorKind::Invalid);
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => story(),
        ["printer", clients] => printer(number(clients)?),
        ["desk", clients] => desk(number(clients)?),
        ["client", name, clients] => client(name, number(clients)?),
        ["answerer", callers] => answerer(number(callers)?),
        ["caller", name] => caller(name),
        _ => {
            eprintln!(
                "usage: mach [printer CLIENTS | desk CLIENTS | client NAME CLIENTS | answerer CALLERS | caller NAME]"
            );
            std::process::exit(2)
        }
    }
}
