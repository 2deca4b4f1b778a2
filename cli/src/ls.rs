//! `triveni ls`: what is there, who takes part, and what each object holds. Looks from outside: takes no
//! slot in any segment and changes nothing.
//!
//! # JSON
//!
//! `--json` prints one object. New fields may be added; these stay (`triveni ls --help` says the same, shorter):
//!
//! ```text
//! { "segments": [
//!     { "name": "lab", "size": 67108864, "used": 98304, "uid": 1000, "mode": "0600", "created": 1763719823.5,
//!       "participants": [ { "slot": 1, "pid": 4711, "uid": 1000, "name": "python3", "alive": true, "since": 1763719823.6 } ],
//!       "objects": [ { "name": "TEMP_MONITOR", "kind": "mailbox", "size": 8320, "attached": [4711], "state": STATE } ],
//!       "waits": [ WAIT ], "deadlocks": [ { "text": "process 4711 …", "cycle": [ WAIT ] } ] } ],
//!   "kernel": [ { "kind": "posix queue", "name": "/jobs", "key": null, "uid": 1000, "mode": "0600", "holds": "2 of 10 messages",
//!                 "owner": { "pid": 4711, "uid": 1000, "name": "server", "alive": false } } ],
//!   "unreadable": [ { "name": "old", "reason": "open \"old\": layout 3, this library speaks 2; …" } ] }
//! ```
//!
//! STATE depends on the kind:
//!
//! | kind        | fields                                                                               |
//! |-------------|--------------------------------------------------------------------------------------|
//! | semaphore   | `value`, `max`, `holders`: [THREAD], once for each permit of a leased one            |
//! | mutex       | `holder`: null or THREAD; `owner_died`                                               |
//! | monitor     | `holder`: null or THREAD; `owner_died`, `conditions`: [name]                         |
//! | rwlock      | `policy`, `writer`: null or THREAD; `readers`: [PROCESS with `count`]; `owner_died`  |
//! | barrier     | `parties`, `arrived`, `broken`                                                       |
//! | event       | `flags`                                                                              |
//! | mailbox     | `capacity`, `message_size`, `len`, `voided`, `redelivered`                           |
//! | ring        | `size`, `used`, `producer`, `consumer`: null or PROCESS                              |
//! | topic       | `capacity`, `message_size`, `policy`, `published`, `dropped`, `evicted`, `shut_down`, `publisher`: null or PROCESS; `subscribers`: [PROCESS with `count`, how many messages it is behind]; `max_subscribers` |
//! | service     | `calls`, `request_size`, `response_size`, `idempotent`, `waiting`, `serving`, `servers`, `died`, `requeued`, `shut_down` |
//! | unreadable  | `reason`                                                                             |
//!
//! PROCESS is `{slot, pid, name}`, THREAD is `{slot, thread, pid, name}`. WAIT is a thread that sleeps: a THREAD with
//! `tid`, `object`, `kind`, `mode` (`permit`, `lock`, `read`, `write`, `condition`, `barrier`, `flags`, `send`,
//! `receive`, `any`, `call`), `count` (permits, flags or objects; 0 where that has no meaning), `condition` (null or a name),
//! `waited` (seconds) and `blocked_by`: [THREAD]. In a cycle each is blocked by the next one, the last by the first.
//!
//! `kernel` has what the kernel keeps: what somebody owns or has left (`owner` is then dead), and with `--kernel` the rest.
//!
//! Times are seconds since 1970, sizes bytes. `pid` and `name` are null where the participant is unknown.

use crate::{Failure, kernel_objects};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::SystemTime;
use triveni::{
    Capacity, Deadlock, ErrorKind, Fact, ObjectInfo, ObjectKind, ObjectState, Order, ParticipantInfo, Segment,
    Semaphore, Snapshot, Wait, WaitMode,
};

/// Lists segments, their participants and their objects, who holds them and who waits for them.
#[derive(clap::Args)]
#[command(after_long_help = JSON)]
pub struct Ls {
    /// Only this segment
    segment: Option<String>,
    /// Also all queues, semaphores and memory of POSIX and System V in this system
    #[arg(long, conflicts_with = "segment")]
    kernel: bool,
    /// Machine-readable output
    #[arg(long)]
    json: bool,
}

const JSON: &str = "\
--json prints one object; new fields may be added, these stay (times are seconds since 1970, sizes bytes):
  segments    [ {name, size, used, uid, mode, created, participants, objects, waits, deadlocks} ]
  unreadable  [ {name, reason} ]
  kernel      [ {kind, name, key, uid, mode, holds, owner: null or {pid, uid, name, alive}} ]
  participants of a segment  [ {slot, pid, uid, name, alive, since} ]
  objects of a segment       [ {name, kind, size, attached: [pid], state} ]
  waits of a segment         [ {slot, thread, pid, name, tid, object, kind, mode, count, condition, waited, blocked_by} ]
  deadlocks of a segment     [ {text, cycle: waits, each blocked by the next one, the last by the first} ]
  state of a semaphore   value, max, holders (of a leased one, once for each permit)
           a mutex       holder: null or {slot, thread, pid, name}; owner_died
           a monitor     holder, owner_died, conditions: [name]
           an rwlock     policy, writer: null or as a holder; readers: [ {slot, pid, name, count} ]; owner_died
           a barrier     parties, arrived, broken
           an event      flags
           a mailbox     capacity, message_size, len, voided, redelivered
           a ring        size, used, producer, consumer: null or {slot, pid, name}
           unreadable    reason
  modes of waits  permit, lock, read, write, condition, barrier, flags, send, receive, any, call; waited is in seconds";

impl Ls {
    pub fn run(self) -> Result<(), Failure> {
        let mut readable = Vec::new();
        let mut unreadable = Vec::new();
        match &self.segment {
            Some(name) => readable.push(Segment::inspect(name)?),
            None => {
                for name in Segment::list()? {
                    match Segment::inspect(&name) {
                        Ok(snapshot) => readable.push(snapshot),
                        Err(gone) if gone.kind() == ErrorKind::NotFound => {} // removed while we looked
                        Err(error) => unreadable.push((name, error.to_string())),
                    }
                }
            }
        }
        let kernel = if self.segment.is_some() { Vec::new() } else { kernel_objects::gather(self.kernel)? };
        let out = &mut io::stdout().lock();
        if self.json {
            let mut document = as_json(&readable, &unreadable);
            document["kernel"] = kernel_objects::as_json(&kernel);
            return Ok(writeln!(out, "{document:#}")?);
        }
        if readable.is_empty() && unreadable.is_empty() {
            writeln!(out, "no segments")?;
        }
        for (i, snapshot) in readable.iter().enumerate() {
            if i > 0 {
                writeln!(out)?;
            }
            print(out, snapshot)?;
        }
        if !readable.is_empty() && !unreadable.is_empty() {
            writeln!(out)?;
        }
        for (name, reason) in unreadable {
            writeln!(out, "{}  not readable: {reason}", plain(&name))?;
        }
        Ok(kernel_objects::print(out, &kernel)?)
    }
}

/// Prints one segment: a line about it, then its participants, then its objects, each with who holds it and who waits
/// for it, then the deadlocks.
pub fn print(out: &mut impl Write, snapshot: &Snapshot) -> io::Result<()> {
    writeln!(
        out,
        "{}  {} used of {}, mode {:04o}, uid {}, made {} ago",
        snapshot.name.as_deref().unwrap_or("(anonymous)"),
        bytes(snapshot.used),
        bytes(snapshot.size),
        snapshot.mode & 0o7777,
        snapshot.uid,
        ago(snapshot.created),
    )?;
    if snapshot.participants.is_empty() {
        writeln!(out, "  nobody takes part")?;
    } else {
        let mut rows = vec![["PID", "PROGRAM", "", "UID", "JOINED"].map(String::from)];
        for p in &snapshot.participants {
            let alive = if p.alive { "alive" } else { "dead" };
            let joined = format!("{} ago", ago(p.since));
            rows.push([p.pid.to_string(), plain(&p.name), alive.into(), p.uid.to_string(), joined]);
        }
        for line in table(&rows) {
            writeln!(out, "{line}")?;
        }
    }
    if snapshot.objects.is_empty() {
        return writeln!(out, "  no objects");
    }
    let who = Who(&snapshot.participants);
    let mut rows = vec![["OBJECT", "KIND", "SIZE", "STATE", "OPEN IN"].map(String::from)];
    for object in &snapshot.objects {
        rows.push([
            plain(&object.name),
            object.state.kind().map_or("?", |kind| kind.name()).to_string(),
            bytes(object.size),
            state(object, who),
            pids(&object.attached),
        ]);
    }
    let mut lines = table(&rows).into_iter();
    if let Some(heading) = lines.next() {
        writeln!(out, "{heading}")?;
    }
    for (line, object) in lines.zip(&snapshot.objects) {
        writeln!(out, "{line}")?;
        for holder in holders(&object.state, who) {
            writeln!(out, "      {holder}")?;
        }
        for wait in snapshot.waits.iter().filter(|wait| wait.object == object.name) {
            writeln!(out, "      {}", waiting(wait, who))?;
        }
    }
    for wait in &snapshot.waits {
        if !snapshot.objects.iter().any(|object| object.name == wait.object) {
            writeln!(out, "  {} (of {}, which is gone)", waiting(wait, who), plain(&wait.object))?;
        }
    }
    for deadlock in &snapshot.deadlocks {
        let n = deadlock.cycle.len();
        writeln!(out, "  DEADLOCK: {n} threads wait in a circle, until one of them gives up or is killed:")?;
        for (wait, next) in deadlock.cycle.iter().zip(deadlock.cycle.iter().cycle().skip(1)) {
            let (waiter, holder) = (who.thread(wait.slot, wait.thread), who.thread(next.slot, next.thread));
            writeln!(out, "      {waiter}, waits {}, held by {holder}", plain(&wait.what()))?;
        }
    }
    Ok(())
}

/// The participants, to name one by his slot.
#[derive(Clone, Copy)]
struct Who<'s>(&'s [ParticipantInfo]);

impl Who<'_> {
    fn process(self, slot: u32) -> String {
        match self.0.iter().find(|p| p.slot == slot) {
            Some(p) => format!("pid {} ({}{})", p.pid, plain(&p.name), if p.alive { "" } else { ", dead" }),
            None => format!("participant {slot}, who has left"),
        }
    }

    fn is_dead(self, slot: u32) -> bool {
        self.0.iter().any(|p| p.slot == slot && !p.alive)
    }

    fn thread(self, slot: u32, thread: u32) -> String {
        format!("{}, thread {thread}", self.process(slot))
    }
}

fn plural(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// One line about what an object holds.
fn state(object: &ObjectInfo, who: Who<'_>) -> String {
    let not_recovered = |owner_died: &bool| if *owner_died { "; the last holder died, not recovered yet" } else { "" };
    match &object.state {
        ObjectState::Semaphore { value, max, .. } if *max != Semaphore::MAX => {
            format!("{value} of {}", plural((*max).into(), "permit", "permits"))
        }
        ObjectState::Semaphore { value, .. } => plural((*value).into(), "permit", "permits"),
        ObjectState::Mutex { holder, owner_died } => {
            let held = holder.map(|(slot, thread)| format!("held by {}", who.thread(slot, thread)));
            held.unwrap_or_else(|| "free".to_string()) + not_recovered(owner_died)
        }
        ObjectState::Monitor { holder, owner_died, conditions } => {
            let inside = holder.map(|(slot, thread)| format!("{} is inside", who.thread(slot, thread)));
            let names: Vec<String> = conditions.iter().map(|name| plain(name)).collect();
            let conditions = if names.is_empty() { "none".to_string() } else { names.join(", ") };
            let inside = inside.unwrap_or_else(|| "nobody inside".to_string());
            format!("{inside}{}; conditions: {conditions}", not_recovered(owner_died))
        }
        ObjectState::RwLock { policy, writer, readers, owner_died } => {
            let held = match writer {
                Some((slot, thread)) if readers.is_empty() => {
                    format!("held for writing by {}", who.thread(*slot, *thread))
                }
                Some((slot, thread)) => {
                    format!("{} is to write when the readers have left", who.thread(*slot, *thread))
                }
                None if readers.is_empty() => "free".to_string(),
                None => "held for reading".to_string(),
            };
            format!("{held}; {}{}", policy.name(), not_recovered(owner_died))
        }
        ObjectState::Barrier { parties, arrived, broken } => {
            let broken = if *broken { "; broken, as a participant died: reset it" } else { "" };
            format!("{arrived} of {parties} have arrived{broken}")
        }
        ObjectState::Event { flags } => format!("flags {flags:#010x}"),
        ObjectState::Mailbox {
            capacity,
            message_size,
            order,
            len,
            voided,
            redelivered,
            dropped,
            shut_down,
            holders,
        } => {
            let of = match capacity {
                Capacity::Rendezvous => format!("{len} at a rendezvous"),
                Capacity::Bounded(capacity) => format!("{len} of {capacity} messages"),
                Capacity::Unbounded { ceiling } => {
                    format!("{}, at most {ceiling}", plural(*len as u64, "message", "messages"))
                }
            };
            let mut line = format!("{of}, up to {} each", bytes(*message_size));
            if *order == Order::Priority {
                line += ", by priority";
            }
            if *shut_down {
                line += ", shut down";
            }
            if !holders.is_empty() {
                let holders: Vec<String> = holders.iter().map(|slot| who.process(*slot)).collect();
                line += &format!("; in the hands of {}", holders.join(", "));
            }
            if *voided > 0 {
                line += &format!("; {} of dead senders voided", plural(*voided, "claim", "claims"));
            }
            if *redelivered > 0 {
                line += &format!("; {redelivered} redelivered");
            }
            if *dropped > 0 {
                line += &format!("; {dropped} dropped");
            }
            line
        }
        ObjectState::Ring { size, used, record_size, shut_down, producer, consumer } => {
            let packed = if *record_size > 0 { format!(", records of {record_size}") } else { String::new() };
            let shut = if *shut_down { ", shut down" } else { "" };
            let role = |slot: &Option<u32>| slot.map_or("nobody".to_string(), |slot| who.process(slot));
            let percent = if *size == 0 { 0 } else { used.saturating_mul(100) / size };
            let (used, size) = (bytes(*used), bytes(*size));
            format!("{used} of {size} ({percent}%){packed}{shut}; {} writes, {} reads", role(producer), role(consumer))
        }
        ObjectState::Topic {
            capacity,
            message_size,
            policy,
            published,
            dropped,
            evicted,
            shut_down,
            publisher,
            subscribers,
            max_subscribers,
        } => {
            let shut = if *shut_down { ", shut down" } else { "" };
            let writer = publisher.map_or("nobody".to_string(), |slot| who.process(slot));
            let mut line = format!(
                "{published} published, the last {capacity} kept, up to {} each, {}{shut}; {writer} publishes; {} of {max_subscribers} subscribers",
                bytes(*message_size),
                policy.name(),
                subscribers.len(),
            );
            if let Some((slot, behind)) =
                subscribers.iter().max_by_key(|(_, behind)| behind).filter(|(_, behind)| *behind > 0)
            {
                line += &format!(", {} is {behind} behind", who.process(*slot));
            }
            if *dropped > 0 {
                line += &format!("; {dropped} dropped");
            }
            if *evicted > 0 {
                line += &format!("; {evicted} put out");
            }
            line
        }
        ObjectState::Service { calls, waiting, serving, servers, died, shut_down, .. } => {
            let shut = if *shut_down { ", shut down" } else { "" };
            let servers = match servers[..] {
                [] => "nobody serves".to_string(),
                [slot] => format!("{} serves", who.process(slot)),
                _ => {
                    let dead = servers.iter().filter(|slot| who.is_dead(**slot)).count();
                    let dead = if dead > 0 { format!(", {dead} of them dead") } else { String::new() };
                    format!("{} processes serve{dead}", servers.len())
                }
            };
            let died = if *died > 0 { format!("; {died} lost by servers that died") } else { String::new() };
            format!("{waiting} waiting, {serving} being served, at most {calls} calls{shut}; {servers}{died}")
        }
        ObjectState::Port { capacity, message_size, len, receiver, senders } => {
            let receiver = receiver.map_or("nobody".to_string(), |slot| who.process(slot));
            let rights = plural(*senders as u64, "right", "rights");
            format!(
                "{len} of {capacity} messages, up to {} each; {receiver} receives, {rights} to send",
                bytes(*message_size)
            )
        }
        ObjectState::Array { type_tag, shape, writer, owner_died, version } => {
            let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
            let writer =
                writer.map_or(String::new(), |(slot, thread)| format!("; {} writes", who.thread(slot, thread)));
            let shape = shape.join(" × ");
            format!("{shape} of {type_tag}, version {version}{writer}{}", not_recovered(owner_died))
        }
        ObjectState::Cell { size, version, writers, .. } => {
            let writing = if writers.is_empty() { String::new() } else { format!(", {} writing", writers.len()) };
            format!("{size} bytes, version {version}{writing}")
        }
        ObjectState::Unreadable(reason) => format!("not readable: {reason}"),
        _ => "of a kind this version does not show".to_string(),
    }
}

/// Those who hold a part of an object, where there may be many: a line each.
fn holders(state: &ObjectState, who: Who<'_>) -> Vec<String> {
    match state {
        ObjectState::Semaphore { leases, .. } => {
            let mut permits: BTreeMap<(u32, u32), u64> = BTreeMap::new();
            for holder in leases {
                *permits.entry(*holder).or_default() += 1;
            }
            let line = |((slot, thread), n)| {
                format!("{} held by {}", plural(n, "permit", "permits"), who.thread(slot, thread))
            };
            permits.into_iter().map(line).collect()
        }
        ObjectState::RwLock { readers, .. } => {
            let line = |(slot, n): &(u32, u32)| match n {
                1 => format!("read by {}", who.process(*slot)),
                _ => format!("read by {}, {n} times", who.process(*slot)),
            };
            readers.iter().map(line).collect()
        }
        _ => Vec::new(),
    }
}

/// A line about a thread that sleeps for an object, and who is in its way.
fn waiting(wait: &Wait, who: Who<'_>) -> String {
    let what = match (wait.mode, &wait.condition) {
        (WaitMode::Permit, _) => format!("for {}", plural(wait.count.max(1).into(), "permit", "permits")),
        (WaitMode::Lock, _) if wait.kind == Some(ObjectKind::Monitor) => "to enter".to_string(),
        (WaitMode::Lock, _) => "to lock".to_string(),
        (WaitMode::Read, _) => "to read".to_string(),
        (WaitMode::Write, _) => "to write".to_string(),
        (WaitMode::Condition, Some(name)) => format!("for condition {}", plain(name)),
        (WaitMode::Condition, None) => "for a condition".to_string(),
        (WaitMode::Barrier, _) => "for the others".to_string(),
        (WaitMode::Flags, _) => format!("for flags {:#010x}", wait.count),
        (WaitMode::Send, _) => "for room".to_string(),
        (WaitMode::Receive, _) => "to receive".to_string(),
        (WaitMode::Any, _) if wait.count > 1 => format!("for this or one of {} others", wait.count - 1),
        (WaitMode::Any, _) => "for this".to_string(),
        _ => format!("({})", wait.mode.name()),
    };
    let who_waits = who.thread(wait.slot, wait.thread);
    let line = format!("waits: {who_waits}, {what}, for {:.1} s", wait.since.as_secs_f64());
    if wait.blocked_by.is_empty() {
        return line;
    }
    let blockers: Vec<String> = wait.blocked_by.iter().map(|by| who.thread(by.slot, by.thread)).collect();
    format!("{line}; blocked by {}", blockers.join(" and "))
}

/// Columns as wide as their widest cell, two spaces apart, two in front.
pub fn table<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; N]| {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("  {}", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// A name that another process chose, fit for a terminal.
pub fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn pids(attached: &[u32]) -> String {
    if attached.is_empty() {
        return "-".to_string();
    }
    attached.iter().map(u32::to_string).collect::<Vec<_>>().join(" ")
}

pub fn bytes(n: usize) -> String {
    match n {
        0..1024 => format!("{n} B"),
        1024..0x10_0000 => format!("{:.1} KiB", n as f64 / 1024.0),
        0x10_0000..0x4000_0000 => format!("{:.1} MiB", n as f64 / 1048576.0),
        _ => format!("{:.1} GiB", n as f64 / 1073741824.0),
    }
}

fn ago(time: f64) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64());
    match (now - time).max(0.0) as u64 {
        s @ 0..120 => format!("{s} s"),
        s @ 120..7200 => format!("{} min", s / 60),
        s @ 7200..172800 => format!("{} h", s / 3600),
        s => format!("{} days", s / 86400),
    }
}

fn as_json(readable: &[Snapshot], unreadable: &[(String, String)]) -> Value {
    let segments: Vec<Value> = readable.iter().map(segment_json).collect();
    let unreadable: Vec<Value> =
        unreadable.iter().map(|(name, reason)| json!({ "name": name, "reason": reason })).collect();
    json!({ "segments": segments, "unreadable": unreadable })
}

fn segment_json(snapshot: &Snapshot) -> Value {
    let participants: Vec<Value> = snapshot
        .participants
        .iter()
        .map(|p| {
            json!({ "slot": p.slot, "pid": p.pid, "uid": p.uid, "name": p.name, "alive": p.alive, "since": p.since })
        })
        .collect();
    let who = WhoJson(&snapshot.participants);
    let objects: Vec<Value> = snapshot
        .objects
        .iter()
        .map(|object| {
            json!({
                "name": object.name,
                "kind": object.state.kind().map_or("unreadable", |kind| kind.name()),
                "size": object.size,
                "attached": object.attached,
                "state": state_json(&object.state, who),
            })
        })
        .collect();
    json!({
        "name": snapshot.name,
        "size": snapshot.size,
        "used": snapshot.used,
        "uid": snapshot.uid,
        "mode": format!("{:04o}", snapshot.mode & 0o7777),
        "created": snapshot.created,
        "participants": participants,
        "objects": objects,
        "waits": waits_json(&snapshot.waits, who),
        "deadlocks": snapshot.deadlocks.iter().map(|deadlock| deadlock_json(deadlock, who)).collect::<Vec<_>>(),
    })
}

/// As [`Who`], for JSON.
#[derive(Clone, Copy)]
struct WhoJson<'s>(&'s [ParticipantInfo]);

impl WhoJson<'_> {
    fn process(self, slot: u32) -> Value {
        let p = self.0.iter().find(|p| p.slot == slot);
        json!({ "slot": slot, "pid": p.map(|p| p.pid), "name": p.map(|p| p.name.clone()) })
    }

    fn thread(self, (slot, thread): (u32, u32)) -> Value {
        let mut holder = self.process(slot);
        holder["thread"] = json!(thread);
        holder
    }

    fn counted(self, (slot, count): (u32, u64)) -> Value {
        let mut process = self.process(slot);
        process["count"] = json!(count);
        process
    }
}

fn state_json(state: &ObjectState, who: WhoJson<'_>) -> Value {
    let named = |(name, fact): (&'static str, Fact)| {
        let name = match name {
            "leases" => "holders",
            "unreadable" => "reason",
            name => name,
        };
        (name.to_string(), fact_json(fact, who))
    };
    Value::Object(state.facts().into_iter().map(named).collect())
}

fn fact_json(fact: Fact, who: WhoJson<'_>) -> Value {
    match fact {
        Fact::Flag(yes) => json!(yes),
        Fact::Number(n) => json!(n),
        Fact::Text(text) => json!(text),
        Fact::Texts(texts) => json!(texts),
        Fact::Numbers(numbers) => json!(numbers),
        Fact::Process(slot) => json!(slot.map(|slot| who.process(slot))),
        Fact::Processes(slots) => slots.into_iter().map(|slot| who.process(slot)).collect(),
        Fact::Thread(thread) => json!(thread.map(|thread| who.thread(thread))),
        Fact::Threads(threads) => threads.into_iter().map(|thread| who.thread(thread)).collect(),
        Fact::Counts(counts) => counts.into_iter().map(|count| who.counted(count)).collect(),
        _ => Value::Null, // a fact that this version does not show
    }
}

fn waits_json(waits: &[Wait], who: WhoJson<'_>) -> Vec<Value> {
    let wait = |wait: &Wait| {
        json!({
            "slot": wait.slot,
            "thread": wait.thread,
            "pid": wait.pid,
            "name": wait.process,
            "tid": wait.tid,
            "object": wait.object,
            "kind": wait.kind.map(ObjectKind::name),
            "mode": wait.mode.name(),
            "count": wait.count,
            "condition": wait.condition,
            "waited": wait.since.as_secs_f64(),
            "blocked_by": wait.blocked_by.iter().map(|by| who.thread((by.slot, by.thread))).collect::<Vec<_>>(),
        })
    };
    waits.iter().map(wait).collect()
}

fn deadlock_json(deadlock: &Deadlock, who: WhoJson<'_>) -> Value {
    json!({ "text": deadlock.to_string(), "cycle": waits_json(&deadlock.cycle, who) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use triveni::{Holder, RwPolicy};

    fn snapshot() -> Snapshot {
        let participant = |slot, pid, name: &str, alive| ParticipantInfo {
            slot,
            pid,
            uid: 0,
            name: name.to_string(),
            alive,
            since: 0.0,
        };
        let object =
            |name: &str, state| ObjectInfo { name: name.to_string(), size: 256, attached: vec![71, 72], state };
        Snapshot {
            name: Some("lab".to_string()),
            size: 64 << 20,
            used: 4096,
            uid: 0,
            mode: 0o100600,
            created: 0.0,
            participants: vec![participant(1, 71, "python3", true), participant(2, 72, "bad\x1b[2J", false)],
            objects: vec![
                object("m", ObjectState::Mutex { holder: Some((2, 1)), owner_died: false }),
                object(
                    "box",
                    ObjectState::Mailbox {
                        capacity: Capacity::Bounded(100),
                        message_size: 16,
                        order: Order::Fifo,
                        len: 3,
                        voided: 1,
                        redelivered: 0,
                        dropped: 0,
                        shut_down: false,
                        holders: Vec::new(),
                    },
                ),
                object(
                    "r",
                    ObjectState::Ring {
                        size: 65536,
                        used: 32768,
                        record_size: 8,
                        shut_down: true,
                        producer: Some(1),
                        consumer: None,
                    },
                ),
                object("gone", ObjectState::Mutex { holder: Some((9, 1)), owner_died: true }),
                object("bad", ObjectState::Unreadable("kind 77 is unknown".to_string())),
                object("s", ObjectState::Semaphore { value: 1, max: 4, leases: vec![(1, 0), (2, 1), (1, 0)] }),
                object(
                    "monitor",
                    ObjectState::Monitor {
                        holder: Some((1, 2)),
                        owner_died: false,
                        conditions: vec!["not\x07full".to_string()],
                    },
                ),
                object(
                    "rw",
                    ObjectState::RwLock {
                        policy: RwPolicy::Fair,
                        writer: None,
                        readers: vec![(1, 1), (2, 3)],
                        owner_died: false,
                    },
                ),
                object("barrier", ObjectState::Barrier { parties: 5, arrived: 2, broken: true }),
                object("event", ObjectState::Event { flags: 5 }),
                object(
                    "topic",
                    ObjectState::Topic {
                        capacity: 16,
                        message_size: 64,
                        policy: triveni::TopicPolicy::Block,
                        published: 9,
                        dropped: 0,
                        evicted: 0,
                        shut_down: false,
                        publisher: Some(1),
                        subscribers: vec![(2, 3)],
                        max_subscribers: 4,
                    },
                ),
                object("service", service(vec![2])),
                object("services", service(vec![1, 2, 9])),
                object("idle", service(Vec::new())),
                object(
                    "one",
                    ObjectState::Mailbox {
                        capacity: Capacity::Unbounded { ceiling: 100 },
                        message_size: 16,
                        order: Order::Fifo,
                        len: 1,
                        voided: 0,
                        redelivered: 0,
                        dropped: 0,
                        shut_down: false,
                        holders: Vec::new(),
                    },
                ),
            ],
            waits: vec![
                wait((1, 0), "m", WaitMode::Lock, Some((2, 1))),
                wait((2, 1), "s", WaitMode::Permit, Some((1, 0))),
                wait((1, 3), "removed", WaitMode::Receive, None),
                Wait {
                    condition: Some("not\x07full".to_string()),
                    ..wait((2, 2), "monitor", WaitMode::Condition, None)
                },
            ],
            deadlocks: vec![Deadlock {
                cycle: vec![
                    wait((1, 0), "m", WaitMode::Lock, Some((2, 1))),
                    wait((2, 1), "s", WaitMode::Permit, Some((1, 0))),
                ],
            }],
        }
    }

    fn service(servers: Vec<u32>) -> ObjectState {
        ObjectState::Service {
            calls: 8,
            request_size: 16,
            response_size: 16,
            idempotent: false,
            waiting: 0,
            serving: 0,
            servers,
            died: 0,
            requeued: 0,
            shut_down: false,
        }
    }

    fn wait((slot, thread): (u32, u32), object: &str, mode: WaitMode, by: Option<(u32, u32)>) -> Wait {
        Wait {
            slot,
            pid: 70 + slot,
            process: if slot == 1 { "python3" } else { "bad\x1b[2J" }.to_string(),
            thread,
            tid: 700 + thread,
            object: object.to_string(),
            kind: None,
            mode,
            count: 1,
            condition: None,
            since: Duration::from_millis(2300),
            blocked_by: by.iter().map(|(slot, thread)| Holder { slot: *slot, pid: None, thread: *thread }).collect(),
        }
    }

    #[test]
    fn a_holder_is_shown_with_pid_and_program_and_whether_he_is_dead() {
        let mut out = Vec::new();
        print(&mut out, &snapshot()).unwrap();
        let text = String::from_utf8(out).unwrap();
        for part in [
            "lab  4.0 KiB used of 64.0 MiB, mode 0600, uid 0",
            "held by pid 72 (bad?[2J, dead), thread 1",
            "3 of 100 messages, up to 16 B each; 1 claim of dead senders voided",
            "1 message, at most 100, up to 16 B each",
            "at most 8 calls; pid 72 (bad?[2J, dead) serves",
            "at most 8 calls; 3 processes serve, 1 of them dead",
            "at most 8 calls; nobody serves",
            "32.0 KiB of 64.0 KiB (50%), records of 8, shut down; pid 71 (python3) writes, nobody reads",
            "participant 9, who has left",
            "not readable: kind 77 is unknown",
        ] {
            assert!(text.contains(part), "no {part:?} in\n{text}");
        }
        assert!(!text.contains(['\x1b', '\x07']), "a name of a peer must not steer the terminal");
    }

    #[test]
    fn who_blocks_whom_is_to_be_seen() {
        let mut out = Vec::new();
        print(&mut out, &snapshot()).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let below = |object: &str| {
            let at = lines.iter().position(|line| line.starts_with(&format!("  {object} "))).unwrap();
            lines[at + 1..].iter().take_while(|line| line.starts_with("      ")).copied().collect::<Vec<_>>()
        };
        assert_eq!(
            below("m"),
            [
                "      waits: pid 71 (python3), thread 0, to lock, for 2.3 s; blocked by pid 72 (bad?[2J, dead), thread 1"
            ]
        );
        assert_eq!(
            below("s"),
            [
                "      2 permits held by pid 71 (python3), thread 0",
                "      1 permit held by pid 72 (bad?[2J, dead), thread 1",
                "      waits: pid 72 (bad?[2J, dead), thread 1, for 1 permit, for 2.3 s; blocked by pid 71 (python3), thread 0",
            ]
        );
        assert_eq!(below("rw"), ["      read by pid 71 (python3)", "      read by pid 72 (bad?[2J, dead), 3 times"]);
        assert_eq!(
            below("monitor"),
            ["      waits: pid 72 (bad?[2J, dead), thread 2, for condition not?full, for 2.3 s"]
        );
        for part in [
            "1 of 4 permits",
            "pid 71 (python3), thread 2 is inside; conditions: not?full",
            "held for reading; fair",
            "2 of 5 have arrived; broken",
            "flags 0x00000005",
            "  waits: pid 71 (python3), thread 3, to receive, for 2.3 s (of removed, which is gone)",
        ] {
            assert!(text.contains(part), "no {part:?} in\n{text}");
        }
        let circle = [
            "  DEADLOCK: 2 threads wait in a circle, until one of them gives up or is killed:",
            "      pid 71 (python3), thread 0, waits to lock \"m\", held by pid 72 (bad?[2J, dead), thread 1",
            "      pid 72 (bad?[2J, dead), thread 1, waits for a permit of \"s\", held by pid 71 (python3), thread 0",
        ];
        assert!(lines.ends_with(&circle), "{text}");
    }

    #[test]
    fn json_has_the_documented_shape() {
        let value = as_json(&[snapshot()], &[("old".to_string(), "layout 3".to_string())]);
        assert_eq!(value["segments"][0]["mode"], "0600");
        assert_eq!(value["segments"][0]["participants"][1]["alive"], false);
        let objects = &value["segments"][0]["objects"];
        assert_eq!(objects[0]["state"]["holder"], json!({ "slot": 2, "thread": 1, "pid": 72, "name": "bad\x1b[2J" }));
        assert_eq!(objects[1]["state"]["len"], 3);
        assert_eq!(objects[2]["state"]["consumer"], Value::Null);
        assert_eq!(objects[3]["state"]["holder"]["pid"], Value::Null);
        assert_eq!(objects[4]["kind"], "unreadable");
        assert_eq!(objects[4]["state"], json!({ "reason": "kind 77 is unknown" }));
        assert_eq!(objects[10]["state"]["publisher"]["pid"], 71);
        assert_eq!(objects[10]["state"]["subscribers"][0]["count"], 3);
        assert_eq!(objects[5]["state"]["holders"][2], json!({ "slot": 1, "thread": 0, "pid": 71, "name": "python3" }));
        assert_eq!(objects[6]["state"]["holder"]["thread"], 2);
        assert_eq!(objects[7]["state"]["policy"], "fair");
        assert_eq!(objects[7]["state"]["readers"][1]["count"], 3);
        assert_eq!(objects[8]["state"], json!({ "parties": 5, "arrived": 2, "broken": true }));
        assert_eq!(objects[9]["state"]["flags"], 5);
        let waits = &value["segments"][0]["waits"];
        assert_eq!(waits[0]["mode"], "lock");
        assert_eq!(waits[0]["blocked_by"][0]["pid"], 72);
        assert_eq!(waits[3]["condition"], "not\x07full");
        assert_eq!(value["segments"][0]["deadlocks"][0]["cycle"].as_array().map(Vec::len), Some(2));
        assert!(
            value["segments"][0]["deadlocks"][0]["text"].as_str().is_some_and(|text| text.contains("waits to lock"))
        );
        assert_eq!(value["unreadable"][0]["reason"], "layout 3");
    }
}
