//! A segment as a notebook shows it: its objects, who holds them, who waits.

use std::collections::HashMap;
use std::fmt::Write;
use triveni::{ObjectState, Snapshot};

/// The most objects that are shown; a notebook is no place for a thousand rows.
const MOST: usize = 50;

/// Names in a segment are anybody's.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// What is in it, who holds it.
fn facts(state: &ObjectState) -> (String, Vec<u32>) {
    let slots = |holders: &[(u32, u32)]| holders.iter().map(|(slot, _)| *slot).collect::<Vec<_>>();
    let one = |holder: &Option<(u32, u32)>| holder.iter().map(|(slot, _)| *slot).collect::<Vec<_>>();
    let died = |owner_died: &bool| if *owner_died { "owner died" } else { "" }.to_string();
    match state {
        ObjectState::Semaphore { value, leases, .. } => (format!("value {value}"), slots(leases)),
        ObjectState::Mutex { holder, owner_died } | ObjectState::Monitor { holder, owner_died, .. } => {
            (died(owner_died), one(holder))
        }
        ObjectState::RwLock { policy, writer, readers, owner_died } => {
            let died = if *owner_died { ", owner died" } else { "" };
            let mut holders = one(writer);
            holders.extend(slots(readers));
            (format!("{}{died}", policy.name()), holders)
        }
        ObjectState::Barrier { parties, arrived, broken } => {
            let broken = if *broken { ", broken" } else { "" };
            (format!("{arrived} of {parties}{broken}"), Vec::new())
        }
        ObjectState::Event { flags } => (format!("{flags:#x}"), Vec::new()),
        ObjectState::Mailbox { capacity, len, shut_down, holders, .. } => {
            let shut = if *shut_down { ", shut down" } else { "" };
            (format!("{len} of {} messages{shut}", capacity.most()), holders.clone())
        }
        ObjectState::Ring { size, used, record_size, shut_down, producer, consumer } => {
            let packed = if *record_size > 0 { format!(", records of {record_size}") } else { String::new() };
            let shut = if *shut_down { ", shut down" } else { "" };
            (format!("{used} of {size} bytes{packed}{shut}"), producer.iter().chain(consumer).copied().collect())
        }
        ObjectState::Topic { policy, published, dropped, shut_down, publisher, subscribers, .. } => {
            let dropped = if *dropped > 0 { format!(", {dropped} dropped") } else { String::new() };
            let shut = if *shut_down { ", shut down" } else { "" };
            let readers = subscribers.len();
            let state =
                format!("{published} published{dropped} to {readers} subscribers, policy {}{shut}", policy.name());
            (state, publisher.iter().copied().collect())
        }
        ObjectState::Service { waiting, serving, servers, shut_down, .. } => {
            let shut = if *shut_down { ", shut down" } else { "" };
            let serve = if servers.len() == 1 { "process serves" } else { "processes serve" };
            let state = format!("{waiting} waiting, {serving} being served, {} {serve}{shut}", servers.len());
            (state, servers.clone())
        }
        ObjectState::Port { capacity, len, receiver, senders, .. } => {
            (format!("{len} of {capacity} messages, {senders} rights to send"), receiver.iter().copied().collect())
        }
        ObjectState::Array { type_tag, shape, writer, owner_died, version } => {
            let died = if *owner_died { ", writer died" } else { "" };
            (format!("{shape:?} of {type_tag}, version {version}{died}"), one(writer))
        }
        ObjectState::Cell { size, version, writers, .. } => {
            (format!("{size} bytes, version {version}"), writers.clone())
        }
        ObjectState::Unreadable(reason) => (reason.clone(), Vec::new()),
        _ => Default::default(),
    }
}

/// The table.
pub(crate) fn table(seen: &Snapshot) -> String {
    let pids: HashMap<u32, u32> = seen.participants.iter().map(|p| (p.slot, p.pid)).collect();
    let who = |slots: Vec<u32>| {
        let one = |slot: &u32| pids.get(slot).map_or(format!("participant {slot}"), |pid| format!("pid {pid}"));
        slots.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    let mut html = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        html,
        "<b>{}</b> · {} of {} bytes · {} participants<table><tr><th>object<th>kind<th>state<th>held by<th>waiting</tr>",
        escaped(seen.name.as_deref().unwrap_or("(anonymous)")),
        seen.used,
        seen.size,
        seen.participants.iter().filter(|p| p.alive).count(),
    );
    for object in seen.objects.iter().take(MOST) {
        let (state, holders) = facts(&object.state);
        let waiters: Vec<String> = seen
            .waits
            .iter()
            .filter(|wait| wait.object == object.name)
            .map(|wait| format!("pid {} ({}, {:.1} s)", wait.pid, wait.mode.name(), wait.since.as_secs_f64()))
            .collect();
        let _ = write!(
            html,
            "<tr><td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
            escaped(&object.name),
            object.state.kind().map_or("unreadable", triveni::ObjectKind::name),
            escaped(&state),
            who(holders),
            waiters.join(", "),
        );
    }
    html.push_str("</table>");
    if let Some(more) = seen.objects.len().checked_sub(MOST).filter(|more| *more > 0) {
        let _ = write!(html, "… and {more} more");
    }
    for deadlock in &seen.deadlocks {
        let _ = write!(html, "<p><b>deadlock:</b> {}</p>", escaped(&deadlock.to_string()));
    }
    html
}
