//! Killed in an operation of ports: while a right goes over, and while a message does.

use crate::scene::*;
use crate::step::*;
use std::path::PathBuf;
use triveni::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum PortVerb {
    /// Sends a message that carries the right to receive from another port.
    Give,
    /// Receives such a message.
    Take,
}

struct PortScene {
    place: Place,
    verb: PortVerb,
    /// The survivor's right to receive what is given.
    carrier: Option<Port>,
}

const SIZE: usize = 64;

fn options() -> PortOptions {
    PortOptions::default().capacity(2).message_size(SIZE)
}

impl Scene for PortScene {
    in_place!();

    fn prepare(&mut self) -> Result<(), Refused> {
        let segment = &self.place.segment;
        for name in ["carrier", "target"] {
            segment.create_port_with(name, options()).unwrap();
        }
        if self.verb == PortVerb::Give {
            self.carrier = Some(segment.port_with("carrier", options()).unwrap());
        }
        // The message that the child will receive; both ports are without a receiver when it begins.
        if self.verb == PortVerb::Take {
            let (carrier, target) =
                (segment.port_with("carrier", options()).unwrap(), segment.port_with("target", options()).unwrap());
            let to_carrier = segment.open_port("carrier").unwrap();
            to_carrier.send_rights(&message(1, 0, 40), &[&target.send_right().unwrap()], in_time()).unwrap();
            drop(carrier);
        }
        Ok(())
    }

    fn act(&self, step: &Step) {
        let segment = &self.place.segment;
        match self.verb {
            PortVerb::Give => {
                let target = segment.port_with("target", options()).unwrap();
                let carrier = segment.open_port("carrier").unwrap();
                let message = message(1, 0, 40);
                step.through(|| carrier.send_rights(&message, &[&target], soon()).map(|()| OK));
            }
            PortVerb::Take => {
                let carrier = segment.port_with("carrier", options()).unwrap();
                let buffer = step.0.buffer();
                step.through(|| carrier.receive_until(buffer, soon()).map(|_| OK));
            }
        }
    }

    fn check(&mut self, killed: &Killed) {
        let segment = &self.place.segment;
        if killed.swept {
            segment.sweep().unwrap();
        }
        // Both ports can be had by a survivor, at the latest when the dead are swept.
        let take = |name: &str| {
            let mut port = None;
            triveni_tests::wait_for("the right to receive", || {
                match segment.port_with(name, options()) {
                    Ok(taken) => port = Some(taken),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Busy, "{error}"),
                }
                port.is_some() || (name == "target" && self.verb == PortVerb::Give)
            });
            port
        };
        let carrier = self.carrier.take().unwrap_or_else(|| take("carrier").unwrap());
        let mut target = take("target");
        let mut buffer = [0; SIZE];
        let mut received = Vec::new();
        while let Some(mut delivery) = carrier.try_receive(&mut buffer).unwrap() {
            if delivery.size > 0 {
                assert_eq!(read(&buffer[..delivery.size]), (1, 0));
            }
            if self.verb == PortVerb::Give {
                // In one hand: ours by the message, or nobody's.
                if let Some(right) = delivery.rights.pop() {
                    assert!(target.is_none(), "taken over, and in a message as well");
                    assert_eq!(right.right(), Right::Receive);
                    target = Some(right);
                }
            }
            received.push((delivery.rights.len(), delivery.lost, delivery.redelivered));
        }
        match self.verb {
            PortVerb::Give => {
                assert!(received.len() <= 1, "{received:?}");
                assert!(!killed.done() || received.len() == 1, "it was sent: {received:?}");
                target = target.or_else(|| take("target"));
                assert!(
                    target.is_some() || segment.port_with("target", options()).is_ok(),
                    "nobody can receive any more"
                );
            }
            PortVerb::Take => {
                assert!(received.len() <= 1, "{received:?}");
                if let [again] = received[..] {
                    // It came again, and its right with it, or the right was found lost before the carrier lived again.
                    assert!(again == (1, 0, 1) || again == (1, 0, 0), "{received:?}");
                    assert!(!killed.done());
                } else {
                    assert_eq!(whole(&self.place.page.left()[..40]), Some((1, 0)), "gone, and the dead had not got it");
                }
            }
        }
        // As new: full of messages and rights, both ways.
        drop((carrier, target));
        segment.sweep().unwrap();
        let (carrier, target) =
            (segment.port_with("carrier", options()).unwrap(), segment.port_with("target", options()).unwrap());
        let to_carrier = segment.open_port("carrier").unwrap();
        for _ in 0..3 {
            for seq in 0..2 {
                let right = target.send_right().unwrap();
                to_carrier.send_rights(&message(3, seq, 40), &[&right], in_time()).unwrap();
            }
            assert!(!to_carrier.try_send(&message(3, 2, 40)).unwrap());
            for seq in 0..2 {
                let delivery = carrier.receive_until(&mut buffer, in_time()).unwrap();
                assert_eq!(read(&buffer[..delivery.size]), (3, seq));
                assert_eq!((delivery.rights.len(), delivery.lost, delivery.redelivered), (1, 0, 0));
            }
        }
        drop((carrier, target, to_carrier));
        for object in segment.objects().unwrap() {
            segment.remove(&object.name).unwrap();
        }
        self.place.is_as_new();
    }
}

#[test]
fn a_right_goes_over_or_stays_or_dies_with_its_owner() {
    let cases = [PortVerb::Give, PortVerb::Take]
        .map(|verb| case(format!("port: {verb:?}"), move || PortScene { place: Place::new(), verb, carrier: None }));
    run_all("port", cases.into());
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum CallVerb {
    /// Ask, and give up waiting for the answer.
    Ask,
    /// Receive an answer that is there.
    Answered,
    /// Receive a call, and answer it.
    Serve,
}

/// A caller and a server, one of them the survivor.
struct CallScene {
    place: Place,
    verb: CallVerb,
    /// The survivor's right: to receive the calls, or to call.
    port: Option<Port>,
    call: Option<PortCall>,
}

/// Answers the call that is there; `None`: there is none. Otherwise what was asked, and whether it could be answered.
fn serve(port: &Port, answer: &[u8]) -> Result<Option<((u64, u64), bool)>> {
    let mut buffer = [0; SIZE];
    let Some(delivery) = port.try_receive(&mut buffer)? else { return Ok(None) };
    let asked = read(&buffer[..delivery.size]);
    let Some(reply) = delivery.reply else {
        assert_eq!(delivery.lost, 1, "a call without a right to answer it");
        return Ok(Some((asked, false)));
    };
    match reply.send_until(answer, in_time()) {
        Ok(()) => Ok(Some((asked, true))),
        // The caller is gone.
        Err(error) if [ErrorKind::PeerDead, ErrorKind::NotOwner].contains(&error.kind()) => Ok(Some((asked, false))),
        Err(error) => Err(error),
    }
}

fn calls() -> PortOptions {
    options().rights(3)
}

impl Scene for CallScene {
    in_place!();

    fn prepare(&mut self) -> Result<(), Refused> {
        let segment = &self.place.segment;
        let server = segment.create_port_with("s", calls()).unwrap();
        match self.verb {
            CallVerb::Ask => self.port = Some(server),
            // The child takes the port over.
            CallVerb::Answered => drop(server),
            CallVerb::Serve => {
                let caller = segment.open_port("s").unwrap();
                self.call = Some(caller.begin_call(&message(1, 0, 40), &[], in_time()).unwrap());
                self.port = Some(caller);
                drop(server);
            }
        }
        Ok(())
    }

    fn act(&self, step: &Step) {
        let segment = &self.place.segment;
        let (question, answer) = (message(2, 0, 40), message(2, 1, 48));
        match self.verb {
            CallVerb::Ask => {
                let port = segment.open_port("s").unwrap();
                step.through(|| port.begin_call(&question, &[], soon()).map(|_| OK))
            }
            CallVerb::Answered => {
                let server = segment.port_with("s", calls()).unwrap();
                let caller = segment.open_port("s").unwrap();
                let call = caller.begin_call(&question, &[], in_time()).unwrap();
                assert_eq!(serve(&server, &answer).unwrap(), Some(((2, 0), true)));
                let left = step.0.buffer();
                step.through(|| {
                    call.wait_until(left, in_time())?;
                    drop(call);
                    Ok(OK)
                })
            }
            CallVerb::Serve => {
                let server = segment.port_with("s", calls()).unwrap();
                step.through(|| {
                    assert_eq!(serve(&server, &answer)?, Some(((1, 0), true)));
                    Ok(OK)
                })
            }
        }
    }

    fn check(&mut self, killed: &Killed) {
        let segment = &self.place.segment;
        if killed.swept {
            segment.sweep().unwrap();
        }
        let mut buffer = [0; SIZE];
        if let Some(call) = self.call.take() {
            // Answered, or told at once that nobody will.
            match self.place.recovering(|| call.wait_until(&mut buffer, in_time())) {
                Ok(delivery) => assert_eq!(read(&buffer[..delivery.size]), (2, 1)),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::PeerDead, "{error}");
                    assert!(!killed.done(), "it was answered");
                }
            }
        }
        if self.verb == CallVerb::Answered && killed.done() {
            assert_eq!(read(&self.place.page.left()[..48]), (2, 1));
        }
        let caller = self.port.take_if(|port| port.right() == Right::Send);
        let server = self.port.take().unwrap_or_else(|| {
            self.place.recovering(|| segment.port_with("s", calls())).expect("the port of a dead server")
        });
        // A call of the dead comes whole. Its death is found out by who waits, or by the sweep.
        if let Some((asked, answered)) = serve(&server, &[0]).unwrap() {
            assert!(asked == (2, 0) && self.verb == CallVerb::Ask || asked == (1, 0) && self.verb == CallVerb::Serve);
            assert!(!answered || !killed.swept, "a call of the dead was answered");
        }
        drop(caller);
        // As new: all rights, and calls that are answered.
        segment.sweep().unwrap();
        let caller = segment.open_port("s").unwrap();
        let rights = [caller.send_right().unwrap(), caller.send_right().unwrap()];
        assert_eq!(caller.send_right().unwrap_err().kind(), ErrorKind::NoSpace, "more rights than before");
        drop(rights);
        for seq in 0..3 {
            let call = caller.begin_call(&message(3, seq, 40), &[], in_time()).unwrap();
            assert_eq!(serve(&server, &message(4, seq, 48)).unwrap(), Some(((3, seq), true)));
            let delivery = call.wait_until(&mut buffer, in_time()).unwrap();
            assert_eq!(read(&buffer[..delivery.size]), (4, seq));
        }
        drop((server, caller));
        for object in segment.objects().unwrap() {
            segment.remove(&object.name).unwrap();
        }
        self.place.is_as_new();
    }
}

#[test]
fn a_caller_is_answered_or_told_whoever_dies() {
    use CallVerb::{Answered, Ask, Serve};
    let cases = [Ask, Answered, Serve].map(|verb| {
        case(format!("port: {verb:?}"), move || CallScene { place: Place::new(), verb, port: None, call: None })
    });
    run_all("port calls", cases.into());
}
