//! Join, scan, eviction and death, step by step, for the explorer. The writer's stores go through a store buffer that
//! drains in order and at any time, after its death too: what a fence is for is seen here. Readers' stores and all
//! exchanges are on the spot.
//!
//! One slot, so that each message overwrites the one before it: the writer may write message n + 1 only when every
//! reader that joined has gone beyond n. A reader reads in two steps: it must find the same message in both, unless it
//! was put out, which it must be able to tell. The verdicts of death are asked for under no lock: what makes that
//! safe is the epoch in the cursor's word.
//!
//! Each rule has a `Without`: a model that leaves it out, and fails.

use crate::model::{Model, Step, explore, find_fault};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Without {
    Nothing,
    /// The scan does not wait until the writer's position is there for all to see.
    Fence,
    /// A cursor is claimed whatever stands in it.
    Compare,
    /// A joining cursor counts with the position that its last owner left.
    Joining,
    /// The cursor of an evicted reader is free at once.
    Eviction,
    /// A cursor is freed whatever its word says by then.
    Epoch,
    /// The successor begins without a scan.
    FirstScan,
}

#[derive(Clone, Copy)]
struct Topic {
    readers: usize,
    cursors: usize,
    messages: u8,
    /// How often a reader comes again.
    lives: u8,
    reader_dies: bool,
    writer_dies: bool,
    evicts: bool,
    without: Without,
}

/// Its word: whose (0: nobody's; from 1 on), JOINING, EVICTED, epoch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
struct Word {
    owner: u8,
    joining: bool,
    out: bool,
    epoch: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
struct Cursor {
    word: Word,
    at: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Write {
    /// Looks whether it may write.
    Idle,
    /// The buffer must be empty before the first cursor is looked at.
    Fence,
    /// Looks at cursor `i`; the least position so far.
    Scan(u8, u8),
    /// Has seen that `word` in cursor `i` belongs to a dead reader, or to one to be put out.
    Free(u8, Word),
    Evict(u8, Word),
    /// The slot is odd; then the word and the position.
    Begun,
    Committed,
    Done,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Read {
    /// Not subscribed; about to look at cursor `i`.
    Out(u8),
    /// Has seen this free word in it.
    Seen(u8, Word),
    /// Has claimed it; with its word.
    Claimed(u8, Word),
    /// Has the position, and has not stored it.
    Knows(u8, Word, u8),
    /// Has stored it.
    Stored(u8, Word, u8),
    /// Looks for message `at`.
    Reads(u8, Word, u8),
    /// Has begun to read it.
    Half(u8, Word, u8),
    /// Has read it; has not looked at its word.
    Whole(u8, Word, u8),
    /// About to leave.
    Leaves(u8, Word),
    Done,
}

/// A store that is not there for all to see yet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Store {
    /// The slot: 2n + 1 or 2n + 2.
    Slot(u8),
    /// The writer's position.
    Written(u8),
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct State {
    slot: u8,
    written: u8,
    buffer: Vec<Store>,
    cursors: [Cursor; 2],
    writer: Write,
    next: u8,
    limit: u8,
    readers: [Read; 2],
    lives: [u8; 2],
    dead: [bool; 2],
    /// Reader deaths and writer deaths left.
    deaths: [u8; 2],
    evictions: u8,
    /// What is wrong.
    fault: Option<&'static str>,
}

impl State {
    fn store(&mut self, store: Store) {
        self.buffer.push(store);
    }

    fn drain(&mut self) {
        match self.buffer.remove(0) {
            Store::Slot(word) => self.slot = word,
            Store::Written(n) => self.written = n,
        }
    }
}

impl Topic {
    fn writer(&self, state: &State, all: &mut Vec<(Step, State)>) {
        let mut add = |does, change: &dyn Fn(&mut State)| {
            let mut next = state.clone();
            change(&mut next);
            all.push((Step { by: 9, does, counts: true }, next));
        };
        let next = state.next;
        match state.writer {
            Write::Done => {}
            Write::Idle if next == self.messages => add("end", &|s| s.writer = Write::Done),
            Write::Idle if next < state.limit => add("make the slot odd", &|s| {
                s.store(Store::Slot(2 * next + 1));
                s.writer = Write::Begun;
            }),
            Write::Idle => add("look at the cursors", &|s| s.writer = Write::Fence),
            Write::Fence if self.without == Without::Fence || state.buffer.is_empty() => {
                add("fence", &|s| s.writer = Write::Scan(0, next));
            }
            Write::Fence => {}
            Write::Scan(i, least) if i as usize == self.cursors => add("know the limit", &|s| {
                s.limit = least + 1;
                s.writer = Write::Idle;
            }),
            Write::Scan(i, least) => {
                let Cursor { word, at } = state.cursors[i as usize];
                let lap = next.saturating_sub(1);
                let at = if word.joining && self.without != Without::Joining { lap } else { at };
                let counts = word.owner != 0 && !word.out;
                let blocks = counts && next >= 1 && at <= lap;
                add("scan a cursor", &|s| s.writer = Write::Scan(i + 1, if counts { least.min(at) } else { least }));
                if blocks && state.dead[word.owner as usize - 1] {
                    add("see that its reader is dead", &|s| s.writer = Write::Free(i, word));
                }
                if blocks && state.evictions > 0 {
                    add("find it overdue", &|s| s.writer = Write::Evict(i, word));
                }
            }
            Write::Free(i, word) => add("free it", &|s| {
                let now = &mut s.cursors[i as usize].word;
                if *now == word || self.without == Without::Epoch {
                    *now = Word { epoch: now.epoch + 1, ..Word::default() };
                }
                s.writer = Write::Fence;
            }),
            Write::Evict(i, word) => add("put it out", &|s| {
                let now = &mut s.cursors[i as usize].word;
                if *now == word {
                    s.evictions -= 1;
                    *now = if self.without == Without::Eviction {
                        Word { epoch: now.epoch + 1, ..Word::default() }
                    } else {
                        Word { out: true, ..word }
                    };
                }
                s.writer = Write::Fence;
            }),
            Write::Begun => add("make it even", &|s| {
                s.store(Store::Slot(2 * next + 2));
                s.writer = Write::Committed;
            }),
            Write::Committed => add("store the position", &|s| {
                s.store(Store::Written(next + 1));
                s.next += 1;
                s.writer = Write::Idle;
            }),
        }
        if state.deaths[1] > 0 && state.writer != Write::Done {
            // Its buffer drains before its death is told; a successor starts where it stopped.
            let mut heir = state.clone();
            while !heir.buffer.is_empty() {
                heir.drain();
            }
            heir.deaths[1] -= 1;
            heir.next = heir.written + u8::from(heir.slot == 2 * heir.written + 2);
            heir.limit = if self.without == Without::FirstScan { heir.next + 1 } else { heir.next };
            heir.buffer.push(Store::Written(heir.next));
            heir.writer = Write::Idle;
            all.push((Step { by: 9, does: "die, and be succeeded", counts: false }, heir));
        }
    }

    fn reader(&self, state: &State, r: usize, all: &mut Vec<(Step, State)>) {
        let mut add = |does, counts, change: &dyn Fn(&mut State)| {
            let mut next = state.clone();
            change(&mut next);
            all.push((Step { by: r as u8, does, counts }, next));
        };
        if state.dead[r] {
            // The sweep.
            for i in 0..self.cursors {
                let word = state.cursors[i].word;
                if word.owner == r as u8 + 1 {
                    add("be swept", true, &|s| {
                        s.cursors[i].word = Word { epoch: word.epoch + 1, ..Word::default() };
                    });
                }
            }
            // Then another process sits in its slot.
            let named = state.cursors.iter().any(|c| c.word.owner == r as u8 + 1);
            if !named && state.lives[r] > 0 {
                add("be born again in the same slot", true, &|s| {
                    s.dead[r] = false;
                    s.lives[r] -= 1;
                    s.readers[r] = Read::Out(0);
                });
            }
            return;
        }
        let at_slot = state.slot;
        match state.readers[r] {
            Read::Done => {}
            Read::Out(i) if i as usize == self.cursors => add("find no cursor", true, &|s| s.readers[r] = Read::Done),
            Read::Out(i) => {
                let word = state.cursors[i as usize].word;
                if word.owner == 0 || self.without == Without::Compare {
                    add("see a free cursor", true, &|s| s.readers[r] = Read::Seen(i, word));
                } else {
                    add("see one that is taken", true, &|s| s.readers[r] = Read::Out(i + 1));
                }
            }
            Read::Seen(i, seen) => add("claim it", true, &|s| {
                let now = &mut s.cursors[i as usize].word;
                if *now != seen && self.without != Without::Compare {
                    s.readers[r] = Read::Out(i + 1);
                    return;
                }
                *now = Word { owner: r as u8 + 1, joining: true, out: false, epoch: now.epoch + 1 };
                s.readers[r] = Read::Claimed(i, *now);
            }),
            Read::Claimed(i, word) => {
                add("read the position", true, &|s| s.readers[r] = Read::Knows(i, word, s.written));
            }
            Read::Knows(i, word, at) => add("store where it begins", true, &|s| {
                s.cursors[i as usize].at = at;
                s.readers[r] = Read::Stored(i, word, at);
            }),
            Read::Stored(i, word, at) => add("have joined", true, &|s| {
                let now = &mut s.cursors[i as usize].word;
                if *now == word || self.without == Without::Compare {
                    *now = Word { joining: false, ..word };
                    s.readers[r] = Read::Reads(i, *now, at);
                } else {
                    s.readers[r] = Read::Leaves(i, word);
                }
            }),
            Read::Reads(i, word, at) => {
                let whole = 2 * at + 2;
                if at_slot == whole {
                    add("begin to read", true, &|s| s.readers[r] = Read::Half(i, word, at));
                } else if at_slot > whole {
                    let out = state.cursors[i as usize].word == Word { out: true, ..word };
                    add("be overtaken", true, &|s| {
                        if !out {
                            s.fault = Some("a reader was overtaken");
                        }
                        s.readers[r] = Read::Leaves(i, word);
                    });
                } else if state.writer == Write::Done && state.buffer.is_empty() {
                    add("find the end", true, &|s| s.readers[r] = Read::Leaves(i, word));
                }
                add("have enough", false, &|s| s.readers[r] = Read::Leaves(i, word));
            }
            Read::Half(i, word, at) => add("read on", true, &|s| {
                let torn = s.slot != 2 * at + 2;
                s.readers[r] = Read::Whole(i, word, if torn { at | 0x80 } else { at });
            }),
            Read::Whole(i, word, at) => add("look at its word, and go on", true, &|s| {
                let torn = at & 0x80 != 0;
                if s.cursors[i as usize].word != word {
                    if s.cursors[i as usize].word != (Word { out: true, ..word }) {
                        s.fault = Some("a reader lost its cursor");
                    }
                    s.readers[r] = Read::Leaves(i, word);
                } else if torn {
                    s.fault = Some("a view was torn, and nobody said so");
                } else {
                    s.cursors[i as usize].at = at + 1;
                    s.readers[r] = Read::Reads(i, word, at + 1);
                }
            }),
            Read::Leaves(i, word) => add("leave", true, &|s| {
                let now = &mut s.cursors[i as usize].word;
                if *now == word || *now == (Word { out: true, ..word }) {
                    *now = Word { epoch: now.epoch + 1, ..Word::default() };
                }
                if s.lives[r] > 0 {
                    s.lives[r] -= 1;
                    s.readers[r] = Read::Out(0);
                } else {
                    s.readers[r] = Read::Done;
                }
            }),
        }
        if state.deaths[0] > 0 && state.readers[r] != Read::Done {
            add("die", false, &|s| {
                s.deaths[0] -= 1;
                s.dead[r] = true;
                s.readers[r] = Read::Done;
            });
        }
    }
}

impl Model for Topic {
    type State = State;

    fn start(&self) -> State {
        State {
            slot: 0,
            written: 0,
            buffer: Vec::new(),
            cursors: [Cursor::default(); 2],
            writer: Write::Idle,
            next: 0,
            limit: 0,
            readers: [0, 1].map(|r| if r < self.readers { Read::Out(0) } else { Read::Done }),
            lives: [self.lives; 2],
            dead: [false; 2],
            deaths: [u8::from(self.reader_dies), u8::from(self.writer_dies)],
            evictions: u8::from(self.evicts),
            fault: None,
        }
    }

    fn steps(&self, state: &State) -> Vec<(Step, State)> {
        let mut all = Vec::new();
        if state.fault.is_some() {
            return all;
        }
        if !state.buffer.is_empty() {
            let mut next = state.clone();
            next.drain();
            all.push((Step { by: 8, does: "a store becomes visible", counts: true }, next));
        }
        self.writer(state, &mut all);
        (0..self.readers).for_each(|r| self.reader(state, r, &mut all));
        all
    }

    fn check(&self, state: &State) -> Result<(), String> {
        if let Some(fault) = state.fault {
            return Err(fault.to_string());
        }
        // Two that live have one cursor: one of them is not protected.
        let has = |read: &Read| match *read {
            Read::Stored(i, word, _) | Read::Reads(i, word, _) | Read::Half(i, word, _) | Read::Whole(i, word, _) => {
                Some((i, word))
            }
            _ => None,
        };
        for (r, read) in state.readers.iter().enumerate() {
            if let Some((i, word)) = has(read).filter(|_| !state.dead[r]) {
                let now = state.cursors[i as usize].word;
                if now.owner != word.owner || now.epoch != word.epoch {
                    return Err(format!("reader {r} lost its cursor"));
                }
            }
        }
        Ok(())
    }

    fn is_done(&self, state: &State) -> bool {
        state.writer == Write::Done
            && state.buffer.is_empty()
            && (0..2).all(|r| state.readers[r] == Read::Done)
            && (0..2).all(|r| !state.dead[r] || state.cursors.iter().all(|c| c.word.owner != r as u8 + 1))
    }
}

const PLAIN: Topic = Topic {
    readers: 2,
    cursors: 1,
    messages: 3,
    lives: 0,
    reader_dies: false,
    writer_dies: false,
    evicts: false,
    without: Without::Nothing,
};

#[test]
fn nobody_is_overtaken_whoever_joins_and_leaves() {
    assert!(explore(&Topic { lives: 1, readers: 1, ..PLAIN }) > 500);
    assert!(explore(&PLAIN) > 2000);
    assert!(explore(&Topic { cursors: 2, ..PLAIN }) > 2000);
}

#[test]
fn nobody_is_overtaken_whoever_dies() {
    assert!(explore(&Topic { reader_dies: true, lives: 1, ..PLAIN }) > 5000);
    assert!(explore(&Topic { writer_dies: true, ..PLAIN }) > 2000);
    assert!(explore(&Topic { reader_dies: true, writer_dies: true, readers: 1, lives: 1, ..PLAIN }) > 2000);
}

#[test]
fn who_is_put_out_can_tell_and_is_in_nobodys_way() {
    assert!(explore(&Topic { evicts: true, ..PLAIN }) > 2000);
    assert!(explore(&Topic { evicts: true, reader_dies: true, ..PLAIN }) > 2000);
}

#[test]
fn nobody_is_overtaken_whatever_happens_at_once() {
    let all = Topic { messages: 2, reader_dies: true, writer_dies: true, evicts: true, ..PLAIN };
    assert!(explore(&all) > 20_000);
}

#[test]
fn each_rule_is_needed() {
    let faulty = |model: Topic, without, says: &str| {
        let story = find_fault(&Topic { without, ..model }).expect_err(&format!("{without:?} is not needed"));
        assert!(story.contains(says), "{without:?}: {story}");
    };
    faulty(PLAIN, Without::Fence, "overtaken");
    faulty(PLAIN, Without::Compare, "lost its cursor");
    faulty(Topic { lives: 1, ..PLAIN }, Without::Joining, "overtaken");
    faulty(Topic { evicts: true, ..PLAIN }, Without::Eviction, "lost its cursor");
    faulty(Topic { reader_dies: true, lives: 1, ..PLAIN }, Without::Epoch, "lost its cursor");
    faulty(Topic { writer_dies: true, ..PLAIN }, Without::FirstScan, "overtaken");
}
