//! The command `triveni` from outside: what it prints, its exit codes, and that it changes nothing it only looks at.

use serde_json::Value;
use std::process::{Command, Output, Stdio};
use triveni::Segment;
use triveni_tests::{Language, Name, PATIENCE, Peer, target, watchdog};

fn triveni(args: &[&str]) -> Output {
    let program = target().join("triveni");
    assert!(program.is_file(), "{} is not there: cargo build -p triveni-cli", program.display());
    Command::new(program).args(args).stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn ls_shows_who_holds_what_and_json_says_the_same() {
    let _watchdog = watchdog("ls", 2 * PATIENCE);
    let name = Name::fresh("ls");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    let mut peer = Peer::rust(&["everything", &name, "-", "0"]);
    peer.says("holding");
    let output = triveni(&["ls", &name]);
    let shown = text(&output.stdout);
    println!("{shown}");
    assert_eq!(output.status.code(), Some(0));
    let pid = peer.pid();
    for part in
        [&format!("held by pid {pid} (peer)"), "of 8 messages", "3 permits", &format!("pid {pid} (peer) writes")]
    {
        assert!(shown.contains(part), "{part:?} is not in\n{shown}");
    }
    let output = triveni(&["ls", "--json", &name]);
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    let segment_json = &value["segments"][0];
    assert_eq!(segment_json["name"], *name);
    let object = |name: &str| {
        segment_json["objects"].as_array().unwrap().iter().find(|object| object["name"] == name).unwrap().clone()
    };
    assert_eq!(object("mutex")["state"]["holder"]["pid"], pid);
    assert_eq!(object("mailbox")["state"]["capacity"], 8);
    assert_eq!(object("ring")["state"]["producer"]["name"], "peer");
    assert_eq!(object("semaphore")["state"]["value"], 3);
    assert_eq!(segment.participants().unwrap().len(), 2, "ls took a slot");
}

#[test]
fn a_segment_that_cannot_be_read_is_a_line_and_no_failure() {
    let name = Name::fresh("unreadable");
    std::fs::write(name.file(), "no segment at all").unwrap();
    let output = triveni(&["ls"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    let line = shown.lines().find(|line| line.starts_with(&*name)).unwrap_or_else(|| panic!("no line in\n{shown}"));
    assert!(line.contains("not readable: "), "{line}");
    let value: Value = serde_json::from_slice(&triveni(&["ls", "--json"]).stdout).unwrap();
    let unreadable = value["unreadable"].as_array().unwrap();
    assert!(unreadable.iter().any(|entry| entry["name"] == *name && entry["reason"].is_string()));
    assert_eq!(triveni(&["rm", &name]).status.code(), Some(1));
    let forced = triveni(&["rm", "--force", &name]);
    assert_eq!(forced.status.code(), Some(0), "{}", text(&forced.stderr));
    assert!(!name.file().exists());
}

#[test]
fn rm_refuses_what_live_processes_use_and_names_them() {
    let _watchdog = watchdog("rm", 2 * PATIENCE);
    let name = Name::fresh("rm");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    segment.create_mutex("m").unwrap();
    drop(segment);
    let mut peer = Peer::start(Language::Rust, "hold", &name, "m", 0, "");
    peer.says("ready");
    let who = format!("pid {} (peer)", peer.pid());
    for what in [name.to_string(), format!("{}/m", &*name)] {
        let output = triveni(&["rm", &what]);
        assert_eq!(output.status.code(), Some(1));
        let said = text(&output.stderr);
        assert!(said.contains(&who) && said.contains("--force") && said.lines().count() == 1, "{said}");
    }
    assert_eq!(triveni(&["rm", "--force", &format!("{}/m", &*name)]).status.code(), Some(0));
    assert!(Segment::open(&name).unwrap().objects().unwrap().is_empty());
    peer.kill();
    let output = triveni(&["rm", &name]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(triveni(&["ls", &name]).status.code(), Some(1));
}

#[test]
fn a_reader_that_goes_away_is_no_reason_to_complain() {
    let name = Name::fresh("pipe");
    let _segment = Segment::create(&name, 1 << 20).unwrap();
    let script = format!("{} ls | true; {0} ls --json | true", target().join("triveni").display());
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn the_demo_refuses_a_segment_in_use() {
    let _watchdog = watchdog("demo on a segment in use", 2 * PATIENCE);
    let name = Name::fresh("demo");
    let _segment = Segment::create(&name, 1 << 20).unwrap();
    let output = triveni(&["demo", "--segment", &name, "--seconds", "1"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains(&format!("pid {}", std::process::id())) && said.contains("--segment"), "{said}");
}
