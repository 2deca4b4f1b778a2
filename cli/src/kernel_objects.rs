//! What the kernel keeps beside our segments: queues, semaphores and memory of POSIX and System V, and what was created
//! to be owned. `triveni ls` shows who owns what, `ls --kernel` everything; `triveni rm` removes either.

use crate::Failure;
use crate::ls::{bytes, plain, table};
use serde_json::{Value, json};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use triveni::kernel::{
    Fifo, OwnedObject, PosixQueue, PosixSemaphore, PosixSharedMemory, SysvKey, SysvQueue, SysvSemaphores,
    SysvSharedMemory, owned_objects,
};

/// One of them.
pub struct KernelObject {
    /// `sysv queue`
    kind: &'static str,
    /// A path, a POSIX name, or the number of a System V object.
    name: String,
    key: Option<SysvKey>,
    uid: Option<u32>,
    mode: Option<u32>,
    /// What is in it.
    holds: String,
    owner: Option<OwnedObject>,
}

/// Those that are owned; with `all` all others, too.
pub fn gather(all: bool) -> Result<Vec<KernelObject>, Failure> {
    let mut found = if all { system_wide()? } else { Vec::new() };
    for owned in owned_objects()? {
        let name = owned.name.to_string_lossy().into_owned();
        match found.iter_mut().find(|object| object.kind == owned.kind.name() && object.name == name) {
            Some(object) => object.owner = Some(owned),
            None => found.push(KernelObject {
                kind: owned.kind.name(),
                name,
                key: None,
                uid: Some(owned.uid),
                mode: None,
                holds: String::new(),
                owner: Some(owned),
            }),
        }
    }
    found.sort_by(|a, b| (a.kind, a.name.len(), &a.name).cmp(&(b.kind, b.name.len(), &b.name)));
    Ok(found)
}

fn system_wide() -> Result<Vec<KernelObject>, Failure> {
    let mut found = Vec::new();
    let sysv = |kind, id: i32, key, uid, mode, holds| KernelObject {
        kind,
        name: id.to_string(),
        key: Some(key),
        uid: Some(uid),
        mode: Some(mode),
        holds,
        owner: None,
    };
    // A kernel without System V has none of these.
    for queue in SysvQueue::list().unwrap_or_default() {
        let holds = format!(
            "{} messages, {} of {}, last sent by {}, received by {}",
            queue.messages,
            bytes(queue.bytes as usize),
            bytes(queue.max_bytes as usize),
            queue.last_sender,
            queue.last_receiver
        );
        found.push(sysv("sysv queue", queue.id, queue.key, queue.uid, queue.mode, holds));
    }
    for set in SysvSemaphores::list().unwrap_or_default() {
        found.push(sysv("sysv semaphores", set.id, set.key, set.uid, set.mode, format!("{} semaphores", set.count)));
    }
    for memory in SysvSharedMemory::list().unwrap_or_default() {
        let removed = if memory.removed { ", removed: goes with the last" } else { "" };
        let holds = format!(
            "{}, attached {} times, made by {}{removed}",
            bytes(memory.size),
            memory.attached,
            memory.creator_pid
        );
        found.push(sysv("sysv shared memory", memory.id, memory.key, memory.uid, memory.mode, holds));
    }
    // Without a file system of type mqueue the system does not tell its queues' names.
    for queue in PosixQueue::list().unwrap_or_default() {
        let holds = match (queue.messages, queue.capacity) {
            (Some(messages), Some(capacity)) => format!("{messages} of {capacity} messages"),
            _ => String::new(),
        };
        let (uid, mode) = (Some(queue.uid), Some(queue.mode));
        found.push(KernelObject { kind: "posix queue", name: queue.name, key: None, uid, mode, holds, owner: None });
    }
    for entry in fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
        let Ok(facts) = fs::symlink_metadata(entry.path()) else { continue }; // gone in the meantime
        let file = entry.file_name().to_string_lossy().into_owned();
        if !facts.is_file() || file.starts_with("triveni.") {
            continue;
        }
        let (kind, name, holds) = match file.strip_prefix("sem.") {
            Some(name) => ("posix semaphore", format!("/{name}"), String::new()),
            None => ("posix shared memory", format!("/{file}"), bytes(facts.len() as usize)),
        };
        let (uid, mode) = (Some(facts.uid()), Some(facts.mode() & 0o777));
        found.push(KernelObject { kind, name, key: None, uid, mode, holds, owner: None });
    }
    Ok(found)
}

fn owner(object: &KernelObject) -> String {
    match &object.owner {
        None => String::new(),
        Some(owner) if owner.left => format!("pid {} ({}), dead: a leftover", owner.pid, plain(&owner.program)),
        Some(owner) => format!("pid {} ({})", owner.pid, plain(&owner.program)),
    }
}

/// Prints them, if there are any.
pub fn print(out: &mut impl Write, objects: &[KernelObject]) -> io::Result<()> {
    if objects.is_empty() {
        return Ok(());
    }
    writeln!(out, "of the kernel")?;
    let mut rows = vec![["KIND", "NAME", "KEY", "UID", "MODE", "HOLDS", "OWNER"].map(String::from)];
    for object in objects {
        let text = |value: Option<String>| value.unwrap_or_default();
        rows.push([
            object.kind.into(),
            plain(&object.name),
            text(object.key.map(|key| key.to_string())),
            text(object.uid.map(|uid| uid.to_string())),
            text(object.mode.map(|mode| format!("{mode:04o}"))),
            object.holds.clone(),
            owner(object),
        ]);
    }
    table(&rows).iter().try_for_each(|line| writeln!(out, "  {line}"))?;
    let left = objects.iter().filter(|object| object.owner.as_ref().is_some_and(|owner| owner.left)).count();
    if left > 0 {
        writeln!(out, "  {left} left by dead owners: triveni rm --leftovers")?;
    }
    Ok(())
}

/// The same for programs.
pub fn as_json(objects: &[KernelObject]) -> Value {
    let one = |object: &KernelObject| {
        let owner = object
            .owner
            .as_ref()
            .map(|owner| json!({ "pid": owner.pid, "uid": owner.uid, "name": owner.program, "alive": !owner.left }));
        json!({
            "kind": object.kind, "name": object.name, "key": object.key.map(|key| key.to_string()), "uid": object.uid,
            "mode": object.mode.map(|mode| format!("{mode:04o}")), "holds": object.holds, "owner": owner,
        })
    };
    objects.iter().map(one).collect()
}

/// Removes what dead processes of this user have left, and says what.
pub fn remove_leftovers() -> Result<(), Failure> {
    let mut failed = false;
    // SAFETY: geteuid takes nothing and cannot fail.
    let me = unsafe { libc::geteuid() };
    for object in owned_objects()?.into_iter().filter(|object| object.left && object.uid == me) {
        match object.remove() {
            Ok(()) => {
                println!("{} {:?} of pid {} ({})", object.kind.name(), object.name, object.pid, plain(&object.program))
            }
            Err(error) => {
                eprintln!("triveni: {error}");
                failed = true;
            }
        }
    }
    if failed { Err(Failure::Known) } else { Ok(()) }
}

/// Removes `KIND:NAME`, as `ls --kernel` shows it, with dashes in the kind; with `force` also what a live process owns.
/// `None` if `text` is nothing like that.
pub fn remove(text: &str, force: bool) -> Option<Result<(), String>> {
    let (kind, name) = text.split_once(':')?;
    let shown = kind.replace('-', " ");
    let owned = owned_objects().unwrap_or_default(); // who owns it is not known then
    let names =
        [name.into(), format!("/{name}").into(), std::path::absolute(name).unwrap_or_default().into_os_string()];
    let is_it = |object: &&OwnedObject| object.kind.name() == shown && names.contains(&object.name) && !object.left;
    let owner = owned.iter().find(is_it);
    if let Some(OwnedObject { pid, program, .. }) = owner.filter(|_| !force) {
        let sentence = format!(
            "{shown} {name:?} is not removed: pid {pid} ({}) owns it, and may be alive; end it first, or use --force",
            plain(program)
        );
        return Some(Err(sentence));
    }
    let number =
        || name.parse().map_err(|_| format!("{text:?}: a System V object has a number, not {name:?}; see ls --kernel"));
    let sysv =
        |remove: fn(i32) -> triveni::Result<()>| number().and_then(|id| remove(id).map_err(|error| error.to_string()));
    let named = |removed: triveni::Result<()>| removed.map_err(|error| error.to_string());
    Some(match kind {
        "fifo" => named(Fifo::unlink(name)),
        "posix-queue" => named(PosixQueue::unlink(name)),
        "posix-semaphore" => named(PosixSemaphore::unlink(name)),
        "posix-shared-memory" => named(PosixSharedMemory::unlink(name)),
        "sysv-queue" => sysv(|id| SysvQueue::open_id(id)?.remove()),
        "sysv-semaphores" => sysv(|id| SysvSemaphores::open_id(id)?.remove()),
        "sysv-shared-memory" => sysv(|id| SysvSharedMemory::open_id(id)?.remove()),
        "lock-file" | "socket" => Err(format!(
            "{text:?}: a {shown} is a file; rm(1) removes it when nobody uses it, and --leftovers those that dead owners left"
        )),
        _ => return None,
    })
}
