//! `triveni watch`: takes part in a segment as its watcher, and says who joins, leaves and dies, until Ctrl-C.
//! While it runs, what a dead process held is put right within a fraction of a millisecond; see `Segment::watch`. Who
//! joins and leaves in order within ten milliseconds may go unseen.
//!
//! # JSON
//!
//! `--json` prints one object per line. New fields may be added; these stay:
//!
//! ```text
//! { "time": 1763719823.5, "event": "died", "pid": 4711, "name": "python3", "slot": 1, "held": ["m"], "swept": true }
//! ```
//!
//! `event` is `joined` (also for those who take part already), `left` or `died`; `held`, the objects of which it held
//! a part as far as that was seen, and `swept`, false if somebody else was faster, only come with `died`. `time` is in
//! seconds since 1970.

use crate::Failure;
use crate::ls::plain;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant, SystemTime};
use triveni::{ParticipantInfo, Segment, WatchEvent};

/// How often it looks whether it is to end.
const BEAT: Duration = Duration::from_millis(50);

/// Watches a segment: puts right at once what the dead leave, and says who joins, leaves and dies.
#[derive(clap::Args)]
#[command(after_long_help = JSON)]
pub struct Watch {
    /// The segment's name
    segment: String,
    /// Machine-readable output, one object per line
    #[arg(long)]
    json: bool,
    /// Ends after so many seconds; without it, Ctrl-C and SIGTERM do
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    length: Option<Duration>,
}

const JSON: &str = "\
--json prints one object per line; new fields may be added, these stay:
  time   seconds since 1970
  event  joined (also for those who take part already), left or died
  pid, name, slot  who
  held   died only: the objects of which it held a part, as far as that was seen
  swept  died only: false if somebody else put things right before";

/// Set by Ctrl-C and SIGTERM. Nothing else depends on its order.
static STOP: AtomicBool = AtomicBool::new(false);

extern "C" fn stop(_signal: i32) {
    STOP.store(true, Relaxed);
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_string())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

impl Watch {
    pub fn run(self) -> Result<(), Failure> {
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            // SAFETY: `stop` only stores to an atomic, which a signal handler may do.
            unsafe { libc::signal(signal, stop as *const () as libc::sighandler_t) };
        }
        let end = self.length.and_then(|length| Instant::now().checked_add(length));
        let segment = Segment::open(&self.segment)?;
        let (sender, events) = channel();
        let _watcher = segment.watch_with(move |event| {
            let _ = sender.send((SystemTime::now(), event)); // nobody listens: we are about to end
        })?;
        while !STOP.load(Relaxed) && end.is_none_or(|end| Instant::now() < end) {
            match events.recv_timeout(BEAT) {
                Ok((time, event)) => self.tell(time, &event)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err("the watcher has ended".to_string().into()),
            }
        }
        Ok(())
    }

    fn tell(&self, time: SystemTime, event: &WatchEvent) -> io::Result<()> {
        let time = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let line = if self.json { as_json(time, event).map(|value| value.to_string()) } else { in_words(time, event) };
        match line {
            Some(line) => writeln!(io::stdout().lock(), "{line}"),
            None => Ok(()),
        }
    }
}

fn in_words(time: f64, event: &WatchEvent) -> Option<String> {
    let who = |p: &ParticipantInfo| format!("pid {} ({})", p.pid, plain(&p.name));
    let what = match event {
        WatchEvent::Joined(participant) => format!("joined  {}", who(participant)),
        WatchEvent::Left(participant) => format!("left    {}", who(participant)),
        WatchEvent::Died { participant, held, swept } => {
            let names: Vec<String> = held.iter().map(|name| plain(name)).collect();
            let held = if names.is_empty() { String::new() } else { format!("; it held {}", names.join(", ")) };
            let by = if *swept { "put right" } else { "put right by somebody else" };
            format!("died    {}{held}; {by}", who(participant))
        }
        _ => return None,
    };
    let day = time.rem_euclid(86400.0);
    let (hours, minutes) = (day as u32 / 3600, day as u32 / 60 % 60);
    Some(format!("{hours:02}:{minutes:02}:{:06.3} UTC  {what}", (day % 60.0 * 1000.0).floor() / 1000.0))
}

fn as_json(time: f64, event: &WatchEvent) -> Option<Value> {
    let (name, p) = match event {
        WatchEvent::Joined(participant) => ("joined", participant),
        WatchEvent::Left(participant) => ("left", participant),
        WatchEvent::Died { participant, .. } => ("died", participant),
        _ => return None,
    };
    let mut line = json!({ "time": time, "event": name, "pid": p.pid, "name": p.name, "slot": p.slot });
    if let WatchEvent::Died { held, swept, .. } = event {
        line["held"] = json!(held);
        line["swept"] = json!(swept);
    }
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> ParticipantInfo {
        ParticipantInfo { slot: 2, pid: 72, uid: 0, name: "bad\x1b[2J".to_string(), alive: false, since: 0.0 }
    }

    #[test]
    fn a_line_says_when_who_and_what_and_cannot_steer_the_terminal() {
        let event =
            WatchEvent::Died { participant: peer(), held: vec!["m".to_string(), "x\n".to_string()], swept: true };
        let line = in_words(3661.25, &event);
        assert_eq!(line.as_deref(), Some("01:01:01.250 UTC  died    pid 72 (bad?[2J); it held m, x?; put right"));
        let line = in_words(0.0, &WatchEvent::Left(peer()));
        assert_eq!(line.as_deref(), Some("00:00:00.000 UTC  left    pid 72 (bad?[2J)"));
    }

    #[test]
    fn json_has_the_documented_shape() {
        let died = as_json(1.5, &WatchEvent::Died { participant: peer(), held: vec!["m".to_string()], swept: false });
        let shape = json!({
            "time": 1.5, "event": "died", "pid": 72, "name": "bad\x1b[2J", "slot": 2, "held": ["m"], "swept": false
        });
        assert_eq!(died, Some(shape));
        let joined = as_json(1.5, &WatchEvent::Joined(peer())).unwrap();
        assert_eq!(joined["event"], "joined");
        assert_eq!(joined["held"], Value::Null);
    }

    #[test]
    fn a_length_is_a_number_of_seconds_and_not_negative() {
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1500)));
        for wrong in ["", "x", "-1", "inf", "NaN"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
