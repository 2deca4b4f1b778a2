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
//!       "objects": [ { "name": "TEMP_MONITOR", "kind": "mailbox", "size": 8320, "attached": [4711], "state": STATE } ] } ],
//!   "unreadable": [ { "name": "old", "reason": "open \"old\": layout 3, this library speaks 2; …" } ] }
//! ```
//!
//! STATE depends on the kind:
//!
//! | kind        | fields                                                                      |
//! |-------------|-----------------------------------------------------------------------------|
//! | semaphore   | `value`                                                                     |
//! | mutex       | `holder`: null or `{slot, thread, pid, name}`; `owner_died`                 |
//! | mailbox     | `capacity`, `message_size`, `len`, `voided`, `redelivered`                  |
//! | ring        | `size`, `used`, `producer`, `consumer`: null or `{slot, pid, name}`         |
//! | unreadable  | `reason`                                                                    |
//!
//! Times are seconds since 1970, sizes bytes. `pid` and `name` are null where the participant is unknown.

use crate::Failure;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::time::SystemTime;
use triveni::{ErrorKind, ObjectInfo, ObjectState, ParticipantInfo, Segment, Snapshot};

/// Lists segments, their participants and their objects.
#[derive(clap::Args)]
#[command(after_long_help = JSON)]
pub struct Ls {
    /// Only this segment
    segment: Option<String>,
    /// Machine-readable output
    #[arg(long)]
    json: bool,
}

const JSON: &str = "\
--json prints one object; new fields may be added, these stay (times are seconds since 1970, sizes bytes):
  segments    [ {name, size, used, uid, mode, created, participants, objects} ]
  unreadable  [ {name, reason} ]
  participants of a segment  [ {slot, pid, uid, name, alive, since} ]
  objects of a segment       [ {name, kind, size, attached: [pid], state} ]
  state of a semaphore   value
           a mutex       holder: null or {slot, thread, pid, name}; owner_died
           a mailbox     capacity, message_size, len, voided, redelivered
           a ring        size, used, producer, consumer: null or {slot, pid, name}
           unreadable    reason";

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
        let out = &mut io::stdout().lock();
        if self.json {
            return Ok(writeln!(out, "{:#}", as_json(&readable, &unreadable))?);
        }
        if readable.is_empty() && unreadable.is_empty() {
            return Ok(writeln!(out, "no segments")?);
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
        Ok(())
    }
}

/// Prints one segment: a line about it, then its participants, then its objects.
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
        table(out, &rows)?;
    }
    if snapshot.objects.is_empty() {
        return writeln!(out, "  no objects");
    }
    let mut rows = vec![["OBJECT", "KIND", "SIZE", "STATE", "OPEN IN"].map(String::from)];
    for object in &snapshot.objects {
        rows.push([
            plain(&object.name),
            object.state.kind().map_or("?", |kind| kind.name()).to_string(),
            bytes(object.size),
            state(object, &snapshot.participants),
            pids(&object.attached),
        ]);
    }
    table(out, &rows)
}

/// One line about what an object holds.
fn state(object: &ObjectInfo, participants: &[ParticipantInfo]) -> String {
    let who = |slot: u32| match participants.iter().find(|p| p.slot == slot) {
        Some(p) => format!("pid {} ({}{})", p.pid, plain(&p.name), if p.alive { "" } else { ", dead" }),
        None => format!("participant {slot}, who has left"),
    };
    let plural = |n: u64, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
    match &object.state {
        ObjectState::Semaphore { value, .. } => plural((*value).into(), "permit", "permits"),
        ObjectState::Mutex { holder, owner_died } => {
            let held = match holder {
                Some((slot, thread)) => format!("held by {}, thread {thread}", who(*slot)),
                None => "free".to_string(),
            };
            if *owner_died { format!("{held}; the last holder died, not recovered yet") } else { held }
        }
        ObjectState::Mailbox { capacity, message_size, len, voided, redelivered } => {
            let mut line = format!("{len} of {capacity} messages, up to {} each", bytes(*message_size));
            if *voided > 0 {
                line += &format!("; {} of dead senders voided", plural(*voided, "claim", "claims"));
            }
            if *redelivered > 0 {
                line += &format!("; {redelivered} redelivered");
            }
            line
        }
        ObjectState::Ring { size, used, producer, consumer } => {
            let role = |slot: &Option<u32>| slot.map_or("nobody".to_string(), who);
            let percent = if *size == 0 { 0 } else { used.saturating_mul(100) / size };
            let (used, size) = (bytes(*used), bytes(*size));
            format!("{used} of {size} ({percent}%); {} writes, {} reads", role(producer), role(consumer))
        }
        ObjectState::Unreadable(reason) => format!("not readable: {reason}"),
        _ => "of a kind this version does not show".to_string(),
    }
}

/// Columns as wide as their widest cell, two spaces apart, two in front.
fn table<const N: usize>(out: &mut impl Write, rows: &[[String; N]]) -> io::Result<()> {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in rows {
        let line: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(out, "  {}", line.join("  ").trim_end())?;
    }
    Ok(())
}

/// A name that another process chose, fit for a terminal.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn pids(attached: &[u32]) -> String {
    if attached.is_empty() {
        return "-".to_string();
    }
    attached.iter().map(u32::to_string).collect::<Vec<_>>().join(" ")
}

fn bytes(n: usize) -> String {
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
    let objects: Vec<Value> = snapshot
        .objects
        .iter()
        .map(|object| {
            json!({
                "name": object.name,
                "kind": object.state.kind().map_or("unreadable", |kind| kind.name()),
                "size": object.size,
                "attached": object.attached,
                "state": state_json(&object.state, &snapshot.participants),
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
    })
}

fn state_json(state: &ObjectState, participants: &[ParticipantInfo]) -> Value {
    let who = |slot: u32| {
        let p = participants.iter().find(|p| p.slot == slot);
        json!({ "slot": slot, "pid": p.map(|p| p.pid), "name": p.map(|p| p.name.clone()) })
    };
    match state {
        ObjectState::Semaphore { value, .. } => json!({ "value": value }),
        ObjectState::Mutex { holder, owner_died } => {
            let holder = holder.map(|(slot, thread)| {
                let mut holder = who(slot);
                holder["thread"] = json!(thread);
                holder
            });
            json!({ "holder": holder, "owner_died": owner_died })
        }
        ObjectState::Mailbox { capacity, message_size, len, voided, redelivered } => json!({
            "capacity": capacity, "message_size": message_size, "len": len, "voided": voided, "redelivered": redelivered
        }),
        ObjectState::Ring { size, used, producer, consumer } => {
            json!({ "size": size, "used": used, "producer": producer.map(who), "consumer": consumer.map(who) })
        }
        ObjectState::Unreadable(reason) => json!({ "reason": reason }),
        _ => json!({}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
                    ObjectState::Mailbox { capacity: 100, message_size: 16, len: 3, voided: 1, redelivered: 0 },
                ),
                object("r", ObjectState::Ring { size: 65536, used: 32768, producer: Some(1), consumer: None }),
                object("gone", ObjectState::Mutex { holder: Some((9, 1)), owner_died: true }),
                object("bad", ObjectState::Unreadable("kind 77 is unknown".to_string())),
            ],
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
            "32.0 KiB of 64.0 KiB (50%); pid 71 (python3) writes, nobody reads",
            "participant 9, who has left",
            "not readable: kind 77 is unknown",
        ] {
            assert!(text.contains(part), "no {part:?} in\n{text}");
        }
        assert!(!text.contains('\x1b'), "a name of a peer must not steer the terminal");
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
        assert_eq!(value["unreadable"][0]["reason"], "layout 3");
    }
}
