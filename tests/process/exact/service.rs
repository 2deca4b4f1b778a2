//! Killed in an operation of services.

use crate::scene::*;
use crate::step::*;
use std::path::PathBuf;
use triveni::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum ServiceVerb {
    /// A client's request, and giving it up.
    Start,
    Cancel,
    /// A server's answer, and its refusal.
    Reply,
    Fail,
}

struct ServiceScene {
    place: Place,
    verb: ServiceVerb,
    idempotent: bool,
    size: usize,
    service: Option<Service>,
    call: Option<RawCall>,
}

const MOST: usize = 256;

impl ServiceScene {
    fn new(verb: ServiceVerb, idempotent: bool, size: usize) -> ServiceScene {
        ServiceScene { place: Place::new(), verb, idempotent, size, service: None, call: None }
    }

    fn serves(&self) -> bool {
        matches!(self.verb, ServiceVerb::Reply | ServiceVerb::Fail)
    }
}

/// A call of our own, served by ourselves: there is a cell, and the answer is the one to this request. Returns what
/// others had asked.
fn serves_itself(service: &Service, call: &Call<'_>, answer: &[u8]) -> usize {
    let mut others = 0;
    triveni_tests::wait_for("our own request", || {
        let Some(request) = service.try_receive().unwrap() else { return call.try_wait().unwrap() };
        let ours = request.to_vec().unwrap() == answer;
        others += usize::from(!ours);
        request.reply(answer).unwrap();
        ours
    });
    call.wait_until(in_time()).unwrap();
    let mut got = [0; MOST];
    let size = call.read(&mut got).unwrap();
    assert_eq!(&got[..size], answer);
    others
}

impl Scene for ServiceScene {
    in_place!();

    fn prepare(&mut self) -> Result<(), Refused> {
        let options = ServiceOptions::new(MOST, MOST).calls(2).idempotent(self.idempotent);
        let service = self.place.segment.create_service_with("s", options).unwrap();
        if self.serves() {
            self.call = Some(service.start(&message(1, 0, self.size)).unwrap().into_raw());
        }
        self.service = Some(service);
        Ok(())
    }

    fn act(&self, step: &Step) {
        let service = self.place.segment.open_service("s").unwrap();
        let request = message(2, 0, self.size);
        match self.verb {
            ServiceVerb::Start => step.through(|| {
                service.start_until(&request, soon())?.into_raw();
                Ok(OK)
            }),
            ServiceVerb::Cancel => step.through(|| service.start_until(&request, soon()).map(drop).map(|()| OK)),
            ServiceVerb::Reply => step.through(|| service.receive_until(soon())?.reply(&request).map(|_| OK)),
            ServiceVerb::Fail => step.through(|| service.receive_until(soon())?.fail("no").map(|_| OK)),
        }
    }

    fn check(&mut self, killed: &Killed) {
        let segment = &self.place.segment;
        if killed.swept {
            segment.sweep().unwrap();
        }
        let service = self.service.take().unwrap();
        let answer = message(2, 0, self.size);
        if let Some(raw) = self.call.take() {
            let call = service.resume_call(raw).unwrap();
            // What was not begun, or is queued again, we serve ourselves.
            let served = std::cell::Cell::new(0);
            let outcome = loop {
                match call.wait_until(Deadline::after(std::time::Duration::from_millis(1))) {
                    Err(error) if error.kind() == ErrorKind::Timeout => {
                        if let Some(request) = service.try_receive().unwrap() {
                            assert_eq!(request.to_vec().unwrap(), message(1, 0, self.size));
                            served.set(served.get() + 1);
                            request.reply(&answer).unwrap();
                        }
                    }
                    outcome => break outcome,
                }
            };
            match outcome {
                Ok(()) => {
                    let mut got = [0; MOST];
                    let size = call.read(&mut got).unwrap();
                    assert_eq!(&got[..size], answer, "torn");
                    assert!(served.get() == 1 || self.verb == ServiceVerb::Reply);
                }
                Err(error) if error.kind() == ErrorKind::PeerDead => {
                    assert!(!self.idempotent && !killed.done(), "{error}")
                }
                Err(error) => {
                    assert_eq!((error.kind(), self.verb), (ErrorKind::Failed, ServiceVerb::Fail), "{error}");
                    assert!(error.to_string().ends_with("no"), "{error}");
                }
            }
            assert!(served.get() == 0 || !killed.done(), "served by the dead, and again");
        }
        // Both cells can be had, and nothing but a request of the dead is served besides our own.
        let ours = [3, 4].map(|who| message(who, 0, self.size));
        let calls = [&ours[0], &ours[1]].map(|request| service.start_until(request, in_time()).unwrap());
        let others = serves_itself(&service, &calls[0], &ours[0]) + serves_itself(&service, &calls[1], &ours[1]);
        assert_eq!(others, 0, "the cells of the dead were not free");
        drop(calls);
        assert!(service.try_receive().unwrap().is_none());
        segment.remove("s").unwrap();
        drop(service);
        self.place.is_as_new();
    }
}

#[test]
fn a_service_loses_no_call_and_no_cell() {
    use ServiceVerb::{Cancel, Fail, Reply, Start};
    let mut cases = Vec::new();
    for (verb, idempotent) in
        [(Start, false), (Cancel, false), (Reply, false), (Reply, true), (Fail, false), (Fail, true)]
    {
        let how = if idempotent { ", idempotent" } else { "" };
        cases.push(case(format!("service{how}: {verb:?}"), move || ServiceScene::new(verb, idempotent, 40)));
    }
    cases.push(case("service, long: Reply", || ServiceScene::new(Reply, false, 100)));
    run_all("service", cases);
}
