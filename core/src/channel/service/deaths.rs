//! The service under shuttle: three clients and two servers, each a process with a slot of its own, that die before any
//! operation on shared memory; one more sweeps. Each call ends, with its own answer and whole, or with the news that its
//! server died; it is served once at most, unless it may be served again and its server died. Run by
//! `tests/check shuttle`.

use super::cells::{Answered, Claim, MOST_DEATHS, Standing, State, Trail};
use super::memory::{Memory, Shape};
use super::{Attentive, KIND, Patient};
use crate::deadline::Deadline;
use crate::deaths::{ALL, Citizen, Town, check, lives};
use crate::error::{ErrorKind, Result};
use crate::prim::{AtomicU64, Ordering::Relaxed};
use crate::sync::mutex::Robber;
use crate::wait::{self, Spin, World};
use shuttle::rand::Rng;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Clients sit in slots 1 to 3, servers in 4 and 5, the sweeper in 6.
const CLIENTS: u32 = 3;
const SERVERS: u32 = 2;
const CALLS: u32 = 2;
/// Calls that each client makes.
const EACH: u64 = 4;
/// Words of a short request or answer, and of a long one. Each is its number, or that of the answer.
const SHORT: usize = 3;
const LONG: usize = 8;
const ANSWER: u64 = 1000;

/// What is booked outside the segment. No thread is ever descheduled with it held.
#[derive(Default)]
struct Books(Mutex<Outside>);

#[derive(Default)]
struct Outside {
    calls: BTreeMap<u64, Booked>,
    clients_gone: u32,
    servers_gone: u32,
}

#[derive(Default)]
struct Booked {
    /// Who began to serve it, one after the other.
    served: Vec<u32>,
    /// The last one was about to answer, or to refuse.
    answering: bool,
    refusing: bool,
    /// Its client was about to give it up; it took it back before it was served.
    given_up: bool,
    back: bool,
}

impl Books {
    fn get(&self) -> MutexGuard<'_, Outside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a process has in hand: the service, and the books.
struct Hand<'a> {
    citizen: &'a Citizen<'a>,
    books: &'a Books,
    memory: Memory,
}

/// `size` bytes at `at` as words.
fn words(at: *mut u8, size: usize) -> &'static [AtomicU64] {
    // SAFETY: `Memory` has checked that so many bytes lie there, 8-aligned; all access is atomic, and over before the town
    // is gone.
    unsafe { std::slice::from_raw_parts(at.cast(), size / 8) }
}

fn write(at: *mut u8, n: usize, number: u64) {
    words(at, 8 * n).iter().for_each(|word| word.store(number, Relaxed));
}

/// The number that all words say.
fn read((at, size): (*mut u8, usize)) -> u64 {
    let words: Vec<_> = words(at, size).iter().map(|word| word.load(Relaxed)).collect();
    assert!([SHORT, LONG].contains(&words.len()) && words.iter().all(|word| *word == words[0]), "torn: {words:?}");
    words[0]
}

impl<'a> Hand<'a> {
    fn new(citizen: &'a Citizen<'a>, books: &'a Books) -> Hand<'a> {
        Hand { citizen, books, memory: Memory::of(citizen.town.memory.view()).unwrap() }
    }

    fn by_chance(&self, how_often: f64) -> bool {
        shuttle::rand::thread_rng().gen_bool(how_often)
    }

    fn booked<R>(&self, number: u64, what: impl FnOnce(&mut Booked) -> R) -> R {
        what(self.books.get().calls.get_mut(&number).unwrap_or_else(|| panic!("a call {number} was never made")))
    }

    /// Puts right what a dead participant left, as the library does.
    fn repair(&self, dead: u32) -> bool {
        let done = self.citizen.repairing(dead, || self.memory.cells().repair(dead)).is_some();
        if done {
            self.memory.ring();
        }
        done
    }

    /// One attempt to claim a cell, and one more if a dead one's was freed.
    fn look_for_cell(&self) -> Option<Claim> {
        let cells = self.memory.cells();
        cells.claim(self.citizen.slot, self.citizen.slot).unwrap().or_else(|| {
            let mut found = false;
            for state in cells.states() {
                let (State::Build { client: who }
                | State::Request { client: who }
                | State::Done { client: who, .. }
                | State::Refused { client: who, .. }
                | State::Died { client: who }
                | State::Cancelled { server: who }) = state.unwrap()
                else {
                    continue;
                };
                found |= self.citizen.is_dead(who) && self.repair(who);
            }
            found.then(|| cells.claim(self.citizen.slot, 0).unwrap()).flatten()
        })
    }

    /// A cell; waits for one for ever.
    fn cell(&self) -> Claim {
        let clients = &self.memory.control().clients.0;
        let attempt = || Ok(self.look_for_cell());
        let never = Deadline::never();
        let claim = wait::until(self.citizen, &Patient(clients), &Spin::default(), never, || None, attempt).unwrap();
        if self.memory.cells().has_room() {
            clients.notify(1);
        }
        claim
    }

    fn call(&self) {
        for n in 0..EACH {
            let number = u64::from(self.citizen.slot) * 100 + n;
            let cells = self.memory.cells();
            let claim = self.cell();
            if self.by_chance(0.1) {
                assert!(cells.withdraw(claim), "{} lost its cell", self.citizen.slot);
                continue;
            }
            self.books.get().calls.insert(number, Booked::default());
            let (long, n) = if self.by_chance(0.5) { (true, LONG) } else { (false, SHORT) };
            let at = if long { self.memory.long_request(claim.index) } else { self.memory.short(claim.index) };
            write(at, n, number);
            self.memory.set_request(claim.index, 8 * n, long);
            let call = cells.publish(claim, long).expect("a live client lost its cell");
            match self.wait(call, number) {
                Ok(()) => {}
                Err(_) => {
                    self.booked(number, |booked| booked.given_up = true);
                    assert!(cells.withdraw(call), "{} lost its call", self.citizen.slot);
                }
            }
        }
    }

    /// Waits for the answer, or for some looks. An error: the call is to be given up.
    fn wait(&self, call: Claim, number: u64) -> Result<()> {
        let (cells, me) = (self.memory.cells(), self.citizen.slot);
        let (suspect, left) = (Cell::new(None), Cell::new(shuttle::rand::thread_rng().gen_range(1..60)));
        let patient = self.by_chance(0.7);
        let look = || {
            suspect.set(None);
            for _ in 0..2 {
                match cells.look(call).unwrap() {
                    Standing::Served(server) => {
                        suspect.set(Some(server));
                        if !(self.citizen.is_dead(server) && self.repair(server)) {
                            break;
                        }
                    }
                    Standing::Waiting if self.books.get().servers_gone == SERVERS => {
                        if cells.withdraw_unserved(call) {
                            self.booked(number, |booked| {
                                let again = self.memory.shape.idempotent;
                                assert!(booked.served.is_empty() || again, "{number} was served and taken back");
                                booked.back = true;
                            });
                            return Ok(Some(None));
                        }
                    }
                    Standing::Waiting => break,
                    ended => return Ok(Some(Some(ended))),
                }
            }
            left.set(left.get() - i32::from(!patient));
            if left.get() > 0 { Ok(None) } else { Err(ErrorKind::Timeout.into()) }
        };
        let park = self.memory.park(call.index);
        let ended = wait::until(self.citizen, park, &Spin::default(), Deadline::never(), || suspect.get(), look)?;
        match ended {
            None => return Ok(()),
            Some(Standing::Done { short }) => {
                let answer = read(self.memory.answer(call.index, short).unwrap());
                assert_eq!(answer, number + ANSWER, "{me} got another's answer");
                self.booked(number, |booked| assert!(booked.answering, "{number} was never answered"));
            }
            Some(Standing::Refused { .. }) => {
                self.booked(number, |booked| assert!(booked.refusing, "{number} was never refused"));
            }
            Some(Standing::Died) => {
                let dead = |slot: u32| self.citizen.is_dead(slot);
                assert!((CLIENTS + 1..=CLIENTS + SERVERS).any(dead), "told of a death, and all live");
                self.booked(number, |booked| {
                    assert!(
                        booked.served.iter().all(|slot| dead(*slot)),
                        "served by one who lives: {:?}",
                        booked.served
                    );
                });
            }
            Some(other) => panic!("{me}: call {number} is {other:?}"),
        }
        // Either way of ending an answered call.
        let now = Claim { index: call.index, word: call.word };
        if matches!(ended, Some(Standing::Died)) || self.by_chance(0.5) {
            assert!(cells.withdraw(now), "{me} lost its answer");
        } else {
            cells.let_go(now);
        }
        Ok(())
    }

    /// Serves what is asked, as long as somebody asks.
    fn serve(&self) {
        let (me, cells, trail) = (self.citizen.slot, self.memory.cells(), Trail::default());
        let (seats, servers) = (&self.memory.control().seats.0[0], &self.memory.control().servers.0);
        seats.fetch_or(1 << (me - 1), Relaxed);
        let bell = Attentive { bell: servers, thorough: Cell::new(true) };
        for _ in 0..3 * EACH {
            let found = wait::until(
                self.citizen,
                &bell,
                &Spin::default(),
                Deadline::never(),
                || None,
                || {
                    let take = || cells.take(me, &trail, bell.thorough.get()).unwrap();
                    match take() {
                        None if self.books.get().clients_gone == CLIENTS => {
                            take().map_or(Err(ErrorKind::Timeout.into()), |claim| Ok(Some(claim)))
                        }
                        found => Ok(found),
                    }
                },
            );
            let Ok(claim) = found else { break };
            if cells.has_request().unwrap() {
                servers.notify(1);
            }
            self.answer(claim);
        }
        seats.fetch_and(!(1 << (me - 1)), Relaxed);
    }

    fn answer(&self, claim: Claim) {
        let (me, cells) = (self.citizen.slot, self.memory.cells());
        let number = read(self.memory.request(claim.index).unwrap());
        self.booked(number, |booked| {
            assert!(!booked.back, "call {number} is served, and was taken back");
            let again = self.memory.shape.idempotent;
            assert!(again || booked.served.is_empty(), "call {number} is served twice");
            assert!(booked.served.iter().all(|slot| self.citizen.is_dead(*slot)), "call {number} is served by two");
            booked.served.push(me);
            assert!(booked.served.len() <= MOST_DEATHS as usize, "call {number} kills one after the other");
        });
        let (n, refused) = (if self.by_chance(0.5) { LONG } else { SHORT }, self.by_chance(0.1));
        let short = self.memory.is_short_answer(8 * n);
        let at = if short { self.memory.short(claim.index) } else { self.memory.long_answer(claim.index) };
        write(at, n, number + ANSWER);
        self.memory.set_answer(claim.index, 8 * n, short);
        self.booked(number, |booked| {
            booked.answering = !refused;
            booked.refusing = refused;
        });
        match cells.answer(claim, refused, short) {
            Answered::Given => {}
            Answered::Late => {
                let client = self.citizen.is_dead(claim.client());
                self.booked(number, |booked| assert!(booked.given_up || client, "call {number} was not given up"));
            }
            Answered::NotOurs => panic!("{me} lost call {number}, which it serves"),
        }
    }

    /// When all others are gone: all cells are free.
    fn settle(&self) {
        self.citizen.sweep();
        let cells = self.memory.cells();
        for state in cells.states() {
            assert_eq!(state, Ok(State::Free), "a cell is lost");
        }
        assert_eq!(self.memory.control().seats.0[0].load(Relaxed), 0, "a dead one serves");
        let claims: Vec<_> = std::iter::from_fn(|| cells.claim(self.citizen.slot, 0).unwrap()).collect();
        assert_eq!(claims.len(), CALLS as usize);
        assert!(claims.into_iter().all(|claim| cells.withdraw(claim)));
    }
}

fn service(idempotent: bool) {
    check(move || {
        let shape = Shape { calls: CALLS, request_size: 8 * LONG, response_size: 8 * LONG, idempotent };
        let (geometry, size) = shape.extent();
        lives(
            Town::new(&KIND, size, geometry),
            150,
            |citizen, books: &Books| match citizen.slot {
                1..=CLIENTS => Hand::new(citizen, books).call(),
                ALL => (0..3).for_each(|_| citizen.sweep()),
                _ => Hand::new(citizen, books).serve(),
            },
            |slot, books| match slot {
                1..=CLIENTS => books.get().clients_gone += 1,
                ALL => {}
                _ => books.get().servers_gone += 1,
            },
            |citizen, books| Hand::new(citizen, books).settle(),
        );
    });
}

#[test]
fn a_call_is_served_once_at_most_and_ends_whoever_dies() {
    service(false);
}

#[test]
fn an_idempotent_call_is_served_again_only_after_a_death() {
    service(true);
}
