//! `triveni rm`: removes the name of a segment, of an object in one, or of an object of the kernel. Who has it open goes on with it;
//! because that is seldom meant, a name that live processes use is only removed with `--force`.

use crate::{Failure, kernel_objects};
use triveni::{ErrorKind, ParticipantInfo, Segment, Snapshot};

/// Removes segments, or objects in them.
#[derive(clap::Args)]
pub struct Rm {
    /// SEGMENT, SEGMENT/OBJECT, or KIND:NAME of the kernel's (posix-queue:/jobs, sysv-queue:5; see ls --kernel)
    #[arg(required_unless_present = "leftovers", value_name = "NAME")]
    names: Vec<String>,
    /// What your own processes left in the kernel that owned it and were killed (see ls)
    #[arg(long)]
    leftovers: bool,
    /// Also what live processes use, and what cannot be read
    #[arg(short, long)]
    force: bool,
}

impl Rm {
    pub fn run(self) -> Result<(), Failure> {
        let mut failed = false;
        for name in &self.names {
            let done = match (kernel_objects::remove(name, self.force), name.split_once('/')) {
                (Some(removed), _) => removed,
                (None, Some((segment, object))) => self.remove_object(segment, object),
                (None, None) => self.remove_segment(name),
            };
            if let Err(sentence) = done {
                eprintln!("triveni: {sentence}");
                failed = true;
            }
        }
        if self.leftovers {
            kernel_objects::remove_leftovers()?;
        }
        if failed { Err(Failure::Known) } else { Ok(()) }
    }

    fn remove_segment(&self, name: &str) -> Result<(), String> {
        match Segment::inspect(name) {
            Ok(snapshot) => {
                let alive: Vec<_> = snapshot.participants.iter().filter(|p| p.alive).collect();
                if !alive.is_empty() && !self.force {
                    return Err(refusal(&format!("segment {name:?}"), "takes part", "take part", &alive));
                }
            }
            Err(error) if self.force && !hopeless(error.kind()) => {}
            Err(error) if hopeless(error.kind()) => return Err(error.to_string()),
            Err(error) => {
                return Err(format!("{error}; so nobody can say who uses it, and only --force removes it"));
            }
        }
        Segment::unlink(name).map_err(|error| error.to_string())
    }

    fn remove_object(&self, segment: &str, object: &str) -> Result<(), String> {
        let snapshot = Segment::inspect(segment).map_err(|error| error.to_string())?;
        let alive = users(&snapshot, object);
        if !alive.is_empty() && !self.force {
            return Err(refusal(&format!("object \"{segment}/{object}\""), "has it open", "have it open", &alive));
        }
        let removed = Segment::open(segment).and_then(|segment| segment.remove(object));
        removed.map_err(|error| error.to_string())
    }
}

/// Is there nothing that force could do?
fn hopeless(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::Invalid)
}

/// The live processes that have `object` open.
fn users<'s>(snapshot: &'s Snapshot, object: &str) -> Vec<&'s ParticipantInfo> {
    let attached = snapshot.objects.iter().filter(|o| o.name == object).flat_map(|o| &o.attached);
    let found = attached.filter_map(|pid| snapshot.participants.iter().find(|p| p.pid == *pid && p.alive));
    found.collect()
}

fn refusal(what: &str, one: &str, many: &str, alive: &[&ParticipantInfo]) -> String {
    let who: Vec<String> = alive.iter().map(|p| format!("pid {} ({})", p.pid, p.name.escape_debug())).collect();
    let verb = if alive.len() == 1 { one } else { many };
    format!("{what} is not removed: {} {verb}; end them first, or use --force", who.join(", "))
}
