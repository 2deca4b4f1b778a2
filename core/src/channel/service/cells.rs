//! The cells of a service: who asks, who answers, and what is put right after a death.
//!
//! Pure algorithm: it knows the control block and the head of each cell, no payload and no segment.
//!
//! # State
//!
//! A call lies in one cell from its claim to its end. Everything that is decided about it is decided by one
//! compare-and-swap on the cell's word, so there is no queue beside the cells that could disagree with them.
//!
//! Word of a cell: bits 0–3 state, 4–15 client, 16–27 server (participants' slots, 0 nobody), 28 the answer is
//! short, 29–31 servers that died with it, 32–63 stamp.
//!
//! | state           | meaning                             | next                                                       |
//! |-----------------|-------------------------------------|------------------------------------------------------------|
//! | `FREE`          | nobody's                            | `BUILD`, by any client                                     |
//! | `BUILD(c)`      | c writes its request                | `REQUEST`; given up: `FREE`                                |
//! | `REQUEST(c)`    | a request that nobody has taken     | `SERVING`, by any server; given up: `FREE`                 |
//! | `SERVING(c, s)` | s works on it                       | `DONE`, `REFUSED`; c gives up: `CANCELLED`; s dies: `DIED`, or `REQUEST` again if idempotent |
//! | `DONE(c)`       | an answer                           | `FREE`, by c                                               |
//! | `REFUSED(c)`    | a sentence why there is none        | `FREE`, by c                                               |
//! | `DIED(c)`       | the server died over it             | `FREE`, by c                                               |
//! | `CANCELLED(s)`  | c is gone, s still works            | `FREE`, by s                                               |
//!
//! *Stamps* count claims and requests of all clients; each is given once (they wrap after 2^32 and are compared by the
//! sign of their difference). The request with the oldest stamp is taken first. So no two calls have the same word, and
//! an old word is never mistaken for a new one. A client that is slow in `BUILD` is in nobody's way.
//!
//! A server finds the oldest request by looking at every cell. It first looks where it took the last one, for the
//! stamp after that one's: with one client that calls again and again, it polls one line, and that line brings the
//! request.
//!
//! # Orderings
//!
//! Edge `request`: `publish` releases, `take` acquires: the server sees the whole request.
//! Edge `answer`: `answer` releases, `look` acquires: the client sees the whole answer.
//! Edge `room`: who frees a cell releases, `claim` acquires: what the last call read or wrote there is over.
//! A request that is queued again keeps the edge, as every change of a word is a read-modify-write.
//! Stamps order nothing by themselves: the words carry them.
//!
//! # When a peer dies
//!
//! | killed                                   | left             | what happens                                       |
//! |------------------------------------------|------------------|----------------------------------------------------|
//! | client, before it publishes              | `BUILD(dead)`    | freed                                              |
//! | client, before it is served              | `REQUEST(dead)`  | freed; or served, and then as below                |
//! | client, while it is served               | `SERVING(dead, s)` | `CANCELLED(s)`: s notices at its answer, or asks  |
//! | client, before it has read the answer    | `DONE(dead)`     | freed                                              |
//! | server, before `take`                    | `REQUEST(c)`     | the next server takes it                           |
//! | server, before its answer                | `SERVING(c, dead)` | the client is told; or, idempotent, the next server takes it |
//! | server, after its answer                 | `DONE(c)`        | nothing is missing but perhaps a wake: the client finds it at the end of its slice |
//! | server of a call that was given up       | `CANCELLED(dead)` | freed                                             |
//!
//! # Cost
//!
//! A call: two compare-and-swaps and an addition by the client, two compare-and-swaps by the server, one store to free
//! the cell; all on one line where request and answer are short.

use crate::prim::{
    AtomicU32, AtomicU64, Full,
    Ordering::{Acquire, Relaxed, Release},
};
use crate::wait::{EventCount, ParkWord};
// Process-private: what a handle remembers.
use std::sync::atomic::AtomicU32 as PrivateU32;

const FREE: u64 = 0;
const BUILD: u64 = 1;
const REQUEST: u64 = 2;
const SERVING: u64 = 3;
const DONE: u64 = 4;
const REFUSED: u64 = 5;
const DIED: u64 = 6;
const CANCELLED: u64 = 7;

/// The answer lies where the request lay, beside the word.
const SHORT: u64 = 1 << 28;
/// Servers that died with it: three bits.
const ONE_DEATH: u64 = 1 << 29;
const DEATHS: u64 = 7 << 29;
/// A request that so many servers died with is not queued again.
pub(super) const MOST_DEATHS: u32 = 3;
/// How often in a row a server takes from the same cell before it looks at all of them.
const STREAK: u32 = 16;

/// The most calls at once.
pub(super) const MOST_CALLS: u32 = 1024;

/// A value on a pair of cache lines of its own.
#[repr(C, align(128))]
#[derive(Debug)]
pub(super) struct Apart<T>(pub T);

/// A value on a cache line of its own.
#[repr(C, align(64))]
#[derive(Debug)]
pub(super) struct Line<T>(pub T);

/// What is seldom counted. A process killed between repair and count leaves one out.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Tally {
    /// Calls whose server died.
    pub died: AtomicU64,
    /// Those of them that were queued again.
    pub requeued: AtomicU64,
}

/// The first 384 bytes of a service. All zero bytes are one that nobody has called.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Control {
    /// The last stamp that was given.
    stamp: Apart<AtomicU32>,
    /// Servers sleep here.
    pub servers: Line<EventCount>,
    /// Clients that find no free cell sleep here.
    pub clients: Line<EventCount>,
    /// Who serves: bit `slot - 1`.
    pub seats: Line<[AtomicU64; 8]>,
    pub tally: Line<Tally>,
}

#[cfg(not(loom))]
const _: () = {
    assert!(std::mem::offset_of!(Control, servers) == 128);
    assert!(std::mem::offset_of!(Control, clients) == 192);
    assert!(std::mem::offset_of!(Control, seats) == 256);
    assert!(std::mem::offset_of!(Control, tally) == 320);
    assert!(size_of::<Control>() == 384 && align_of::<Control>() == 128);
};

/// The first 16 bytes of a cell; a short request or answer follows, on the same line.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Head {
    word: AtomicU64,
    /// Bytes of the request and where it lies, then those of a short answer. A stranger's number to whoever reads it.
    pub len: AtomicU32,
    /// The client sleeps here.
    pub park: ParkWord,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Head>() == 16 && align_of::<Head>() == 8);

#[cfg(any(test, loom))]
impl Control {
    /// A fresh one; in a segment, zeroed memory is one.
    pub fn new() -> Control {
        Control {
            stamp: Apart(AtomicU32::new(0)),
            servers: Line(EventCount::new()),
            clients: Line(EventCount::new()),
            seats: Line(std::array::from_fn(|_| AtomicU64::new(0))),
            tally: Line(Tally { died: AtomicU64::new(0), requeued: AtomicU64::new(0) }),
        }
    }

    /// As if so many stamps had been given.
    #[cfg(not(loom))]
    pub fn set_stamp(&self, stamp: u32) {
        self.stamp.0.store(stamp, Relaxed);
    }
}

#[cfg(any(test, loom))]
impl Head {
    /// A fresh one; in a segment, zeroed memory is one.
    pub fn new() -> Head {
        Head { word: AtomicU64::new(0), len: AtomicU32::new(0), park: ParkWord::new() }
    }

    /// Is it nobody's?
    pub fn is_free(&self) -> bool {
        state(self.word.load(Relaxed)) == FREE
    }

    /// Any word, good or bad.
    #[cfg(not(loom))]
    pub fn set_word(&self, word: u64) {
        self.word.store(word, Relaxed);
    }
}

fn state(word: u64) -> u64 {
    word & 0xF
}

fn client(word: u64) -> u32 {
    (word >> 4) as u32 & 0xFFF
}

fn server(word: u64) -> u32 {
    (word >> 16) as u32 & 0xFFF
}

fn stamp(word: u64) -> u32 {
    (word >> 32) as u32
}

fn deaths(word: u64) -> u32 {
    (word >> 29) as u32 & 7
}

/// A word; client and server are participants' slots, below 4096.
fn word(state: u64, client: u32, server: u32, stamp: u32) -> u64 {
    state | u64::from(client & 0xFFF) << 4 | u64::from(server & 0xFFF) << 16 | u64::from(stamp) << 32
}

/// The free word after the call of `word`.
fn freed(taken: u64) -> u64 {
    word(FREE, 0, 0, stamp(taken))
}

/// Is stamp `a` older than `b`?
fn is_older(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

/// What a word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Free,
    Build {
        client: u32,
    },
    Request {
        client: u32,
    },
    Serving {
        client: u32,
        server: u32,
    },
    /// Here and below, `short`: the answer lies beside the word.
    Done {
        client: u32,
        short: bool,
    },
    Refused {
        client: u32,
        short: bool,
    },
    Died {
        client: u32,
    },
    Cancelled {
        server: u32,
    },
}

/// A word that no process of ours wrote, and the cell it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Garbage {
    pub index: u32,
    pub word: u64,
}

/// A claim on a cell, or a call: the cell, and the word at that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub index: u32,
    pub word: u64,
}

impl Claim {
    /// Whose call it is.
    pub fn client(self) -> u32 {
        client(self.word)
    }

    /// Who serves it.
    pub fn server(self) -> u32 {
        server(self.word)
    }

    /// Is `word` still of the same call?
    fn is_of(self, word: u64) -> bool {
        stamp(word) == stamp(self.word) && client(word) == client(self.word)
    }

    /// Everything that a word says, checked.
    fn state(self) -> Result<State, Garbage> {
        let Claim { index, word } = self;
        let (short, counted) = (word & SHORT != 0, word & DEATHS != 0);
        match (state(word), client(word), server(word)) {
            (FREE, 0, 0) if !short && !counted => Ok(State::Free),
            (BUILD, client @ 1.., 0) if !short && !counted => Ok(State::Build { client }),
            (REQUEST, client @ 1.., 0) if !short => Ok(State::Request { client }),
            (SERVING, client @ 1.., server @ 1..) if !short => Ok(State::Serving { client, server }),
            (DONE, client @ 1.., 0) if !counted => Ok(State::Done { client, short }),
            (REFUSED, client @ 1.., 0) if !counted => Ok(State::Refused { client, short }),
            (DIED, client @ 1.., 0) if !short && !counted => Ok(State::Died { client }),
            (CANCELLED, 0, server @ 1..) if !short && !counted => Ok(State::Cancelled { server }),
            _ => Err(Garbage { index, word }),
        }
    }
}

/// How a call stands, to its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The request is being written.
    Building,
    /// Nobody has taken it.
    Waiting,
    /// This participant works on it.
    Served(u32),
    /// There is an answer.
    Done { short: bool },
    /// There is a sentence why there is none.
    Refused { short: bool },
    /// Its server died.
    Died,
    /// It has ended: the cell is somebody else's.
    Over,
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// The client has it.
    Given,
    /// The client had given up. The cell is free.
    Late,
    /// The caller does not serve this call (any more).
    NotOurs,
}

/// What a handle that serves remembers: where it found the last request. Only hints, so all of it is relaxed.
#[derive(Debug)]
pub(super) struct Trail {
    last: PrivateU32,
    /// The stamp after the last one taken.
    next: PrivateU32,
    streak: PrivateU32,
}

impl Default for Trail {
    /// A fresh one knows no stamps, so it begins with a look at every cell.
    fn default() -> Trail {
        Trail { last: PrivateU32::new(0), next: PrivateU32::new(0), streak: PrivateU32::new(STREAK) }
    }
}

impl Trail {
    fn took(&self, claim: Claim) {
        let again = self.last.load(Relaxed) == claim.index;
        self.streak.store(if again { self.streak.load(Relaxed).wrapping_add(1) } else { 0 }, Relaxed);
        self.last.store(claim.index, Relaxed);
        self.next.store(stamp(claim.word).wrapping_add(1), Relaxed);
    }
}

/// Heads of cells by index.
///
/// # Safety
/// - `head(i)` for each `i` below the number of calls handed to [`Cells`] is the same live head each time, and no
///   other's: otherwise two calls share one cell.
pub(super) unsafe trait Heads {
    /// The head of cell `index`, which is below the number of calls.
    fn head(&self, index: u32) -> &Head;
}

/// All cells of a service.
#[derive(Clone, Copy)]
pub(super) struct Cells<'a, H: Heads> {
    pub control: &'a Control,
    pub heads: &'a H,
    /// 1 to [`MOST_CALLS`]; ours, not the segment's.
    pub calls: u32,
    /// May a request be served again whose server died over it?
    pub idempotent: bool,
}

impl<H: Heads> Cells<'_, H> {
    fn word(&self, index: u32) -> &AtomicU64 {
        &self.heads.head(index).word
    }

    /// A stamp that no other call has.
    #[inline]
    fn new_stamp(&self) -> u32 {
        // Relaxed: only that it is given once matters.
        self.control.stamp.0.fetch_add(1, Relaxed).wrapping_add(1)
    }

    /// Claims a cell for participant `me`; looks at cell `first` first. `None`: all are taken.
    #[inline]
    pub fn claim(&self, me: u32, first: u32) -> Result<Option<Claim>, Garbage> {
        for i in 0..self.calls {
            let index = (first % self.calls + i) % self.calls;
            // Relaxed: the exchange decides.
            let seen = self.word(index).load(Relaxed);
            if (Claim { index, word: seen }).state()? != State::Free {
                continue;
            }
            let build = word(BUILD, me, 0, self.new_stamp());
            // ORDER room: Acquire; pairs with the Release wherever a cell is freed.
            if self.word(index).compare_exchange(seen, build, Acquire, Relaxed).is_ok() {
                return Ok(Some(Claim { index, word: build }));
            }
        }
        Ok(None)
    }

    /// Makes the request known and wakes a server. `anew`: it gets its place in the queue now, and not at its claim,
    /// which may have been long ago. `None`: the claim is not ours any more.
    #[inline]
    #[must_use]
    pub fn publish(&self, claim: Claim, anew: bool) -> Option<Claim> {
        let stamp = if anew { self.new_stamp() } else { stamp(claim.word) };
        let request = word(REQUEST, client(claim.word), 0, stamp);
        if state(claim.word) != BUILD {
            return None;
        }
        // ORDER request: Release; pairs with the Acquire in `take`. Full, for `notify`.
        self.word(claim.index).cas_full(claim.word, request).ok()?;
        self.control.servers.0.notify(1);
        Some(Claim { index: claim.index, word: request })
    }

    /// Takes the oldest request for participant `me`. Unless `thorough`, looks only where one is expected.
    #[inline]
    pub fn take(&self, me: u32, trail: &Trail, thorough: bool) -> Result<Option<Claim>, Garbage> {
        // As often as there are others to be faster; each failure is a request that somebody took.
        for _ in 0..64 {
            let Some(request) = self.oldest(trail, thorough)? else { return Ok(None) };
            let serving = (request.word & DEATHS) | word(SERVING, request.client(), me, stamp(request.word));
            // ORDER request: Acquire; pairs with the Release in `publish`.
            if self.word(request.index).compare_exchange(request.word, serving, Acquire, Relaxed).is_ok() {
                let claim = Claim { index: request.index, word: serving };
                trail.took(claim);
                return Ok(Some(claim));
            }
        }
        Ok(None)
    }

    /// Is there a request that nobody has taken?
    pub fn has_request(&self) -> Result<bool, Garbage> {
        for index in 0..self.calls {
            // Relaxed: a hint; `take` acquires.
            let claim = Claim { index, word: self.word(index).load(Relaxed) };
            if matches!(claim.state()?, State::Request { .. }) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The oldest request.
    #[inline]
    fn oldest(&self, trail: &Trail, thorough: bool) -> Result<Option<Claim>, Garbage> {
        let last = trail.last.load(Relaxed) % self.calls;
        let next = trail.next.load(Relaxed);
        // The request after the last one taken is the oldest there is, but for those whose clients were slow.
        let is_due = |seen: u64| state(seen) == REQUEST && !is_older(next, stamp(seen));
        let streak = trail.streak.load(Relaxed) >= STREAK;
        if !streak {
            // Relaxed, here and below: the exchange decides.
            let at = Claim { index: last, word: self.word(last).load(Relaxed) };
            if is_due(at.word) && at.state().is_ok() {
                return Ok(Some(at));
            }
        }
        if !thorough {
            return Ok(None);
        }
        if streak {
            trail.streak.store(0, Relaxed);
        }
        let mut oldest: Option<Claim> = None;
        // Beginning behind the last one, so that a slow client's older request comes up within one round.
        for i in 1..=self.calls {
            let index = (last + i) % self.calls;
            let at = Claim { index, word: self.word(index).load(Relaxed) };
            if let State::Request { .. } = at.state()? {
                if is_due(at.word) && !streak {
                    return Ok(Some(at));
                }
                if oldest.is_none_or(|oldest| is_older(stamp(at.word), stamp(oldest.word))) {
                    oldest = Some(at);
                }
            }
        }
        Ok(oldest)
    }

    /// Ends the service of `claim` with an answer that lies there (`refused`: with a reason why not), and wakes the client.
    #[inline]
    pub fn answer(&self, claim: Claim, refused: bool, short: bool) -> Answered {
        if state(claim.word) != SERVING || claim.index >= self.calls {
            return Answered::NotOurs;
        }
        let head = self.heads.head(claim.index);
        let short = if short { SHORT } else { 0 };
        let done = word(if refused { REFUSED } else { DONE }, client(claim.word), 0, stamp(claim.word)) | short;
        // ORDER answer: Release; pairs with the Acquire in `look`. Full: the client parks and then looks.
        match head.word.cas_full(claim.word, done) {
            Ok(_) => {
                head.park.unpark();
                Answered::Given
            }
            Err(now) if now == word(CANCELLED, 0, server(claim.word), stamp(claim.word)) => {
                self.free(Claim { index: claim.index, word: now });
                Answered::Late
            }
            Err(_) => Answered::NotOurs,
        }
    }

    /// Does `claim` stand, word for word?
    pub fn stands(&self, claim: Claim) -> bool {
        // Relaxed: what follows from the answer is another compare-and-swap.
        claim.index < self.calls && self.word(claim.index).load(Relaxed) == claim.word
    }

    /// Has the client of the call that is being served given up?
    pub fn is_cancelled(&self, claim: Claim) -> bool {
        // Relaxed: nothing follows from it but to stop working.
        let now = self.word(claim.index).load(Relaxed);
        now == word(CANCELLED, 0, server(claim.word), stamp(claim.word))
    }

    /// How the call stands.
    #[inline]
    pub fn look(&self, call: Claim) -> Result<Standing, Garbage> {
        // ORDER answer: Acquire; pairs with the Release in `answer`.
        let now = Claim { index: call.index, word: self.word(call.index).load(Acquire) };
        if !call.is_of(now.word) {
            return Ok(Standing::Over);
        }
        Ok(match now.state()? {
            State::Build { .. } => Standing::Building,
            State::Request { .. } => Standing::Waiting,
            State::Serving { server, .. } => Standing::Served(server),
            State::Done { short, .. } => Standing::Done { short },
            State::Refused { short, .. } => Standing::Refused { short },
            State::Died { .. } => Standing::Died,
            State::Free | State::Cancelled { .. } => Standing::Over,
        })
    }

    /// The client is done with the call, wherever it stands. False: it had ended already.
    pub fn withdraw(&self, call: Claim) -> bool {
        // Every failure is a step of a server, and a call has few: it is taken, answered, or taken from the dead.
        for _ in 0..4 * (MOST_DEATHS + 2) {
            // Relaxed: the exchange decides.
            let now = Claim { index: call.index, word: self.word(call.index).load(Relaxed) };
            if !call.is_of(now.word) {
                return false;
            }
            let gone = match now.state() {
                Ok(State::Serving { server, .. }) => {
                    // Relaxed: this client has touched nothing there since `publish`.
                    let cancelled = word(CANCELLED, 0, server, stamp(now.word));
                    self.word(now.index).compare_exchange(now.word, cancelled, Relaxed, Relaxed).is_ok()
                }
                Ok(State::Free | State::Cancelled { .. }) | Err(_) => return false,
                Ok(_) => self.free(now),
            };
            if gone {
                return true;
            }
        }
        false
    }

    /// The client takes its request back, if nobody has taken it. False: somebody has, or it has ended.
    pub fn withdraw_unserved(&self, call: Claim) -> bool {
        // Relaxed: the exchange decides.
        let now = Claim { index: call.index, word: self.word(call.index).load(Relaxed) };
        call.is_of(now.word) && matches!(now.state(), Ok(State::Request { .. })) && self.free(now)
    }

    /// As [`Cells::withdraw`] of an answered call, by the client's own hand: no other process changes the word of a call
    /// that has its answer, so this is a store and not an exchange, which would wait for the line.
    #[inline]
    pub fn let_go(&self, call: Claim) {
        // ORDER room: Release; pairs with the Acquire in `claim`.
        self.word(call.index).store(freed(call.word), Release);
        // Without a barrier between: who waits for a cell goes on looking for some time after it has registered.
        self.control.clients.0.notify(1);
    }

    /// Frees the cell and wakes a client that waits for one. False: the word has changed.
    fn free(&self, claim: Claim) -> bool {
        // ORDER room: Release; pairs with the Acquire in `claim`. Full, for `notify`.
        let ours = self.word(claim.index).cas_full(claim.word, freed(claim.word)).is_ok();
        if ours {
            self.control.clients.0.notify(1);
        }
        ours
    }

    /// Is there a free cell?
    pub fn has_room(&self) -> bool {
        // Relaxed: a guess, for passing a wake on.
        (0..self.calls).any(|index| state(self.word(index).load(Relaxed)) == FREE)
    }

    /// What each cell says. A moment's truth.
    pub fn states(&self) -> impl Iterator<Item = Result<State, Garbage>> + '_ {
        // Relaxed: to be shown, or to be asked about before an exchange.
        (0..self.calls).map(|index| Claim { index, word: self.word(index).load(Relaxed) }.state())
    }

    /// Leaves no word that names participant `dead`. The caller holds its repair byte and knows that it is dead.
    /// Wakes nobody: the caller rings every bell afterwards.
    pub fn repair(&self, dead: u32) {
        if let Some(seats) = self.control.seats.0.get((dead.wrapping_sub(1) / 64) as usize) {
            // Relaxed: a number to be shown.
            seats.fetch_and(!(1 << (dead.wrapping_sub(1) % 64)), Relaxed);
        }
        for index in 0..self.calls {
            // Another try for each step of the one who is alive: an answer, a cancellation.
            for _ in 0..4 {
                // Relaxed: the exchange decides.
                let now = Claim { index, word: self.word(index).load(Relaxed) };
                let Some(next) = self.repaired(now, dead) else { break };
                // ORDER room, request: Release; the dead one's reads and stores ended with its life, as the kernel says,
                // and a request that is queued again hands on what `publish` released.
                if self.word(index).compare_exchange(now.word, next, Release, Relaxed).is_ok() {
                    self.count(now, next);
                    break;
                }
            }
        }
    }

    /// What a cell becomes whose word names participant `dead`; `None`: it names others, nobody, or is garbage, which
    /// is for its users to report.
    fn repaired(&self, now: Claim, dead: u32) -> Option<u64> {
        let stamp = stamp(now.word);
        match now.state().ok()? {
            State::Build { client }
            | State::Request { client }
            | State::Done { client, .. }
            | State::Refused { client, .. }
            | State::Died { client }
                if client == dead =>
            {
                Some(freed(now.word))
            }
            State::Serving { client, server } if client == dead && server == dead => Some(freed(now.word)),
            State::Serving { client, server } if client == dead => Some(word(CANCELLED, 0, server, stamp)),
            State::Serving { client, server } if server == dead => {
                if self.idempotent && deaths(now.word) + 1 < MOST_DEATHS {
                    Some(((now.word & DEATHS) + ONE_DEATH) | word(REQUEST, client, 0, stamp))
                } else {
                    Some(word(DIED, client, 0, stamp))
                }
            }
            State::Cancelled { server } if server == dead => Some(freed(now.word)),
            _ => None,
        }
    }

    fn count(&self, now: Claim, next: u64) {
        // Relaxed: numbers to be shown.
        if state(now.word) == SERVING && matches!(state(next), DIED | REQUEST) {
            self.control.tally.0.died.fetch_add(1, Relaxed);
            self.control.tally.0.requeued.fetch_add(u64::from(state(next) == REQUEST), Relaxed);
        }
    }
}
