//! The books of the demo: what every sensor claimed and sent, what the monitor received, and whether the
//! two agree. Kept from the processes' own output, so it owes nothing to the segment it judges.

use super::programs::Language;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

/// A reading's name: its sensor and its time, as printed.
type Reading = (i32, String);

/// One sensor, as its process told it.
struct Sensor {
    language: Language,
    claimed: BTreeSet<String>,
    sent: BTreeSet<String>,
    killed: bool,
}

/// Everything that was told.
#[derive(Default)]
pub struct Account {
    sensors: BTreeMap<i32, Sensor>,
    received: BTreeMap<Reading, u32>,
    redelivered: u64,
    wrong: Vec<String>,
}

impl Account {
    pub fn hire(&mut self, id: i32, language: Language) {
        let sensor = Sensor { language, claimed: BTreeSet::new(), sent: BTreeSet::new(), killed: false };
        self.sensors.insert(id, sensor);
    }

    pub fn killed(&mut self, id: i32) {
        if let Some(sensor) = self.sensors.get_mut(&id) {
            sensor.killed = true;
        }
    }

    pub fn is_killed(&self, id: i32) -> bool {
        self.sensors.get(&id).is_some_and(|sensor| sensor.killed)
    }

    /// Something that must not happen; it will be the last word.
    pub fn wrong(&mut self, sentence: String) {
        self.wrong.push(sentence);
    }

    /// Books `claim ID TIME`, `holding ID TIME`, `sent ID TIME`.
    pub fn sensor_says(&mut self, word: &str, id: i32, time: &str) {
        let Some(sensor) = self.sensors.get_mut(&id) else {
            return self.wrong(format!("a sensor {id} that was never started says {word:?}"));
        };
        match word {
            "claim" if !sensor.claimed.insert(time.to_string()) => {
                self.wrong(format!("sensor {id} claimed twice at {time}"));
            }
            "claim" => {}
            "holding" => {
                sensor.claimed.insert(time.to_string());
            }
            "sent" if !sensor.sent.insert(time.to_string()) => {
                self.wrong(format!("sensor {id} sent twice at {time}"));
            }
            _ => {}
        }
    }

    /// Books `received ID TIME REDELIVERED`.
    pub fn monitor_says(&mut self, id: i32, time: &str, redelivered: u64) {
        let times = self.received.entry((id, time.to_string())).or_default();
        *times += 1;
        let doubled = *times > 1;
        if redelivered > 0 {
            self.redelivered += 1;
        } else if doubled {
            self.wrong(format!("sensor {id}'s reading of {time} was received twice"));
        }
    }

    fn sum(&self, language: Option<Language>) -> [usize; 6] {
        let mut row = [0; 6];
        for (id, s) in self.sensors.iter().filter(|(_, s)| language.is_none_or(|l| l == s.language)) {
            let received = self.received.keys().filter(|(from, _)| from == id).count();
            let voided = if s.killed { s.claimed.difference(&s.sent).count() } else { 0 };
            for (sum, n) in row.iter_mut().zip([1, s.claimed.len(), s.sent.len(), received, voided, s.killed.into()]) {
                *sum += n;
            }
        }
        row
    }

    /// Prints the summary, a line for each language and one for all.
    pub fn print(&self, out: &mut impl Write, voided_by_mailbox: u64) -> io::Result<()> {
        writeln!(out, "            sensors  claimed     sent  received   voided   killed")?;
        let line = |out: &mut dyn Write, name: &str, [sensors, claimed, sent, received, voided, killed]: [usize; 6]| {
            writeln!(out, "  {name:8} {sensors:8} {claimed:8} {sent:8} {received:9} {voided:8} {killed:8}")
        };
        for language in Language::ALL {
            let row = self.sum(Some(language));
            if row[0] > 0 {
                line(out, language.name(), row)?;
            }
        }
        line(out, "all", self.sum(None))?;
        writeln!(out, "  claims the mailbox itself counts as voided: {voided_by_mailbox}")?;
        if self.redelivered > 0 {
            writeln!(out, "  delivered again, and flagged so: {}", self.redelivered)?;
        }
        Ok(())
    }

    /// Everything that is not as it must be, one sentence each; empty when the books agree.
    pub fn verdict(&self, voided_by_mailbox: u64) -> Vec<String> {
        let mut wrong = self.wrong.clone();
        for (id, s) in &self.sensors {
            let lost: Vec<_> =
                s.sent.iter().filter(|time| !self.received.contains_key(&(*id, time.to_string()))).collect();
            if let Some(first) = lost.first() {
                wrong.push(format!("lost: {} readings of sensor {id}, the first of {first}", lost.len()));
            }
            if !s.killed && s.claimed != s.sent {
                wrong.push(format!("sensor {id} claimed {} and sent {}", s.claimed.len(), s.sent.len()));
            }
        }
        for (id, time) in self.received.keys() {
            if self.sensors.get(id).is_none_or(|s| !s.sent.contains(time)) {
                wrong.push(format!("received, but never sent: sensor {id} at {time}"));
            }
        }
        let [_, claimed, sent, received, voided, _] = self.sum(None);
        if claimed != received + voided {
            wrong.push(format!("{claimed} claimed, but {received} received and {voided} voided"));
        }
        if voided as u64 != voided_by_mailbox {
            wrong.push(format!("{voided} claims died with their sensor, but the mailbox voided {voided_by_mailbox}"));
        }
        if sent == 0 {
            wrong.push("no sensor sent anything".to_string());
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_of_each() -> Account {
        let mut account = Account::default();
        account.hire(1, Language::Rust);
        account.hire(2, Language::C);
        account.sensor_says("claim", 1, "10.5");
        account.sensor_says("sent", 1, "10.5");
        account.sensor_says("claim", 2, "10.6");
        account.sensor_says("holding", 2, "10.6");
        account.killed(2);
        account
    }

    #[test]
    fn a_killed_claim_is_voided_and_nothing_is_wrong() {
        let mut account = one_of_each();
        account.monitor_says(1, "10.5", 0);
        assert_eq!(account.verdict(1), Vec::<String>::new());
        assert_eq!(account.sum(Some(Language::C)), [1, 1, 0, 0, 1, 1]);
        assert_eq!(account.sum(None), [2, 2, 1, 1, 1, 1]);
    }

    #[test]
    fn each_way_to_be_wrong_is_said() {
        let lost = one_of_each();
        assert!(lost.verdict(1).iter().any(|s| s.starts_with("lost: 1 readings of sensor 1")));

        let mut doubled = one_of_each();
        doubled.monitor_says(1, "10.5", 0);
        doubled.monitor_says(1, "10.5", 0);
        assert!(doubled.verdict(1).iter().any(|s| s.contains("received twice")));

        let mut invented = one_of_each();
        invented.monitor_says(1, "10.5", 0);
        invented.monitor_says(2, "10.6", 0);
        assert!(invented.verdict(1).iter().any(|s| s.starts_with("received, but never sent")));

        let mut uncounted = one_of_each();
        uncounted.monitor_says(1, "10.5", 0);
        assert!(uncounted.verdict(0).iter().any(|s| s.contains("the mailbox voided 0")));

        let mut unsent = one_of_each();
        unsent.monitor_says(1, "10.5", 0);
        unsent.sensor_says("claim", 1, "11.5");
        assert!(unsent.verdict(1).iter().any(|s| s.contains("sensor 1 claimed 2 and sent 1")));
    }

    #[test]
    fn a_flagged_repetition_is_no_doubling() {
        let mut account = one_of_each();
        account.monitor_says(1, "10.5", 0);
        account.monitor_says(1, "10.5", 1);
        assert_eq!(account.verdict(1), Vec::<String>::new());
    }
}
