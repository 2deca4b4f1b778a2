//! The cells under loom: every interleaving of two or three threads, with at most three preemptions. Request and answer
//! are numbers in cells that loom watches, so that a torn or premature read fails.
//!
//! Loom remembers only the last access to a word when it looks for what to try next: a load that is followed by another
//! thread's load and exchange is never tried behind the exchange. So whoever looks first is spawned, and runs last at
//! first.

use super::cells::{Answered, Cells, Claim, Control, Head, Heads, Standing, Trail};
use crate::wait::Bell;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

struct Row([Head; 1]);

// SAFETY: one head for the one index.
unsafe impl Heads for Row {
    fn head(&self, _index: u32) -> &Head {
        &self.0[0]
    }
}

struct Model {
    control: Control,
    row: Row,
    /// A short request, and the answer in its place.
    payload: UnsafeCell<u32>,
    idempotent: bool,
}

impl Model {
    fn new() -> Arc<Model> {
        Model::with(false)
    }

    fn with(idempotent: bool) -> Arc<Model> {
        let (control, row) = (Control::new(), Row([Head::new()]));
        Arc::new(Model { control, row, payload: UnsafeCell::new(0), idempotent })
    }

    fn cells(&self) -> Cells<'_, Row> {
        Cells { control: &self.control, heads: &self.row, calls: 1, idempotent: self.idempotent }
    }

    fn start(&self, me: u32, request: u32) -> Option<Claim> {
        let claim = self.cells().claim(me, 0).unwrap()?;
        // SAFETY: a plain write, as loom's cell checks that nobody else is at it.
        self.payload.with_mut(|cell| unsafe { *cell = request });
        Some(self.cells().publish(claim, false).expect("a live client lost its claim"))
    }

    /// The answer, if it is there; frees the cell.
    fn finish(&self, call: Claim) -> Option<u32> {
        match self.cells().look(call).unwrap() {
            Standing::Done { short: true } => {
                // SAFETY: a plain read, as above.
                let answer = self.payload.with(|cell| unsafe { *cell });
                assert!(self.cells().withdraw(call));
                Some(answer)
            }
            _ => None,
        }
    }

    fn serve(&self, me: u32, trail: &Trail) -> Option<Answered> {
        let claim = self.cells().take(me, trail, true).unwrap()?;
        // SAFETY: a plain read and write, as above.
        self.payload.with_mut(|cell| unsafe { *cell += 100 });
        Some(self.cells().answer(claim, false, true))
    }

    fn wait_and_serve(&self, me: u32) {
        let trail = Trail::default();
        while self.serve(me, &trail).is_none() {
            let key = self.control.servers.0.prepare();
            if self.serve(me, &trail).is_some() {
                return;
            }
            self.control.servers.0.sleep(key, u64::MAX);
        }
    }

    fn wait_for_answer(&self, call: Claim) -> u32 {
        let park = &self.row.0[0].park;
        loop {
            let key = park.prepare();
            if let Some(answer) = self.finish(call) {
                return answer;
            }
            park.sleep(key, u64::MAX);
            park.done();
        }
    }
}

fn explore(scenario: impl Fn() + Sync + Send + 'static) {
    let mut loom = loom::model::Builder::new();
    loom.preemption_bound = Some(3);
    loom.check(scenario);
}

#[test]
fn a_server_that_sleeps_and_a_client_that_parks_are_woken() {
    explore(|| {
        let model = Model::new();
        let theirs = model.clone();
        let server = thread::spawn(move || theirs.wait_and_serve(2));
        let call = model.start(1, 7).unwrap();
        assert_eq!(model.wait_for_answer(call), 107);
        server.join().unwrap();
        assert!(model.row.0[0].is_free());
    });
}

#[test]
fn of_two_servers_one_takes_a_request() {
    explore(|| {
        let model = Model::new();
        let call = model.start(1, 7).unwrap();
        let servers = [2, 3].map(|me| {
            let model = model.clone();
            thread::spawn(move || model.serve(me, &Trail::default()))
        });
        let answers = servers.map(|server| server.join().unwrap());
        assert_eq!(answers.iter().filter(|answer| **answer == Some(Answered::Given)).count(), 1);
        assert_eq!(model.finish(call), Some(107));
    });
}

#[test]
fn a_call_that_is_given_up_frees_the_cell_for_the_next_client() {
    explore(|| {
        let model = Model::new();
        let call = model.start(1, 7).unwrap();
        let theirs = model.clone();
        let server = thread::spawn(move || theirs.serve(2, &Trail::default()));
        assert!(model.cells().withdraw(call));
        if let Some(next) = model.start(3, 8) {
            assert_eq!(model.finish(next).unwrap_or(108), 108, "a foreign answer");
        }
        server.join().unwrap();
    });
}

#[test]
fn repair_of_a_dead_client_and_an_answer_leave_the_cell_free() {
    explore(|| {
        let model = Model::new();
        model.start(1, 7).unwrap();
        let theirs = model.clone();
        let server = thread::spawn(move || theirs.serve(2, &Trail::default()));
        model.cells().repair(1);
        let served = server.join().unwrap();
        assert!(model.row.0[0].is_free(), "{served:?}");
    });
}

#[test]
fn a_client_that_sleeps_for_a_cell_is_woken() {
    explore(|| {
        let model = Model::new();
        let call = model.start(1, 7).unwrap();
        let theirs = model.clone();
        let other = thread::spawn(move || {
            let bell = &theirs.control.clients.0;
            while theirs.start(3, 8).is_none() {
                let key = bell.prepare();
                if theirs.start(3, 8).is_some() {
                    return;
                }
                bell.sleep(key, u64::MAX);
            }
        });
        assert!(model.cells().withdraw(call));
        other.join().unwrap();
    });
}

#[test]
fn a_cell_that_its_client_lets_go_of_is_the_next_clients() {
    ends_a_call(|cells, call| cells.let_go(call));
}

#[test]
fn a_cell_whose_answer_was_read_is_the_next_clients() {
    ends_a_call(|cells, call| assert!(cells.withdraw(call)));
}

fn ends_a_call(end: fn(&Cells<'_, Row>, Claim)) {
    explore(move || {
        let model = Model::new();
        let call = model.start(1, 7).unwrap();
        assert_eq!(model.serve(2, &Trail::default()), Some(Answered::Given));
        let theirs = model.clone();
        let other = thread::spawn(move || theirs.start(3, 8));
        // SAFETY: a plain read, as above.
        assert_eq!(model.payload.with(|cell| unsafe { *cell }), 107);
        end(&model.cells(), call);
        other.join().unwrap();
    });
}

#[test]
fn a_request_that_is_queued_again_is_served_behind_the_dead() {
    explore(|| {
        let model = Model::with(true);
        let call = model.start(1, 7).unwrap();
        let theirs = model.clone();
        let successor = thread::spawn(move || theirs.serve(3, &Trail::default()));
        // Killed in the middle of its answer; the kernel says so before the repair.
        if model.cells().take(2, &Trail::default(), true).unwrap().is_some() {
            // SAFETY: a plain write, as above.
            model.payload.with_mut(|cell| unsafe { *cell = 7 });
        }
        model.cells().repair(2);
        let served = successor.join().unwrap();
        assert_eq!(model.finish(call), served.map(|_| 107));
    });
}
