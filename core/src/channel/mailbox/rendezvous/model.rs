//! A sender whose deadline passes, and a receiver, in every interleaving.

use super::*;
use loom::sync::Arc;
use loom::sync::atomic::AtomicU32 as Cell32;

struct Shared {
    control: Control,
    heads: Row,
    hall: Hall,
    /// A raw copy of bytes that the sender may write again: the receiver's copy does not count then.
    payload: Cell32,
}

struct Row([Head; 1]);

// SAFETY: one head, which does not change.
unsafe impl Heads for Row {
    fn head(&self, _: u32) -> &Head {
        &self.0[0]
    }
}

impl Shared {
    fn meeting(&self) -> Meeting<'_, Row> {
        let slots = Slots { control: &self.control, heads: &self.heads, capacity: 1, max_deliveries: 0, eager: true };
        Meeting { slots, hall: &self.hall }
    }

    fn put_down(&self, message: u32) -> Option<Claim> {
        let Attempt::Claimed(claim) = self.meeting().claim_send(1).unwrap() else { return None };
        self.payload.store(message, Relaxed);
        assert!(self.meeting().publish(claim, Envelope::default()));
        Some(claim)
    }
}

#[test]
fn either_the_receiver_has_a_message_or_the_sender_has_it_back() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let shared = Arc::new(Shared {
            control: Control::new(),
            heads: Row([Head::new()]),
            hall: Hall::new(),
            payload: Cell32::new(0),
        });
        let theirs = shared.clone();
        let receiver = loom::thread::spawn(move || {
            let meeting = theirs.meeting();
            let mut got = Vec::new();
            for _ in 0..2 {
                if let Attempt::Claimed(claim) = meeting.claim_receive(2, &Ask::default()).unwrap() {
                    let copy = theirs.payload.load(Relaxed);
                    if meeting.release(claim) {
                        got.push(copy);
                    }
                }
            }
            got
        });
        let mut sent = Vec::new();
        for message in [7, 8] {
            let Some(claim) = shared.put_down(message) else { continue };
            if !shared.meeting().take_back(claim) {
                assert_eq!(shared.meeting().handed_over(claim), Ok(Handed::Over));
                sent.push(message);
            }
        }
        assert_eq!(receiver.join().unwrap(), sent);
    });
}
