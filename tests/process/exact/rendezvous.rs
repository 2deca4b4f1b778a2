//! Killed where senders and receivers meet: at a mailbox of capacity 0.

use crate::mailbox::MESSAGE;
use crate::scene::*;
use crate::step::*;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use triveni::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Verb {
    /// Nobody is there: it takes its message back.
    SendAlone,
    /// A receiver waits.
    Send,
    TrySend,
    /// A sender waits.
    Receive,
    Borrow,
}

impl Verb {
    fn sends(self) -> bool {
        matches!(self, Verb::SendAlone | Verb::Send | Verb::TrySend)
    }
}

/// Another process waits for the one that is killed; it says what it got, or that it was told Ok.
struct MeetingScene {
    place: Place,
    verb: Verb,
    mailbox: Option<Mailbox>,
    partner: Option<(Bystander, &'static Page)>,
}

impl MeetingScene {
    /// The partner, asleep.
    fn partner(&self) -> (Bystander, &'static Page) {
        let page = Page::new();
        let partner = Bystander::start(page, |step| {
            let mailbox = self.place.segment.open_mailbox("meet").unwrap();
            step.0.mark.store(BEGUN, Relaxed);
            if self.verb.sends() {
                mailbox.receive_until(step.0.buffer(), in_time()).unwrap();
            } else {
                mailbox.send_until(&message(1, 0, 40), in_time()).unwrap();
            }
            step.0.mark.store(DONE, Relaxed);
            step.wait();
        });
        triveni_tests::wait_for("the partner waits", || {
            self.place.segment.waits().unwrap().iter().any(|wait| wait.pid != std::process::id())
        });
        partner.sleeps();
        (partner, page)
    }
}

impl Scene for MeetingScene {
    in_place!();

    fn prepare(&mut self) -> Result<(), Refused> {
        self.mailbox = Some(self.place.segment.create_mailbox("meet", 0, MESSAGE).unwrap());
        if self.verb != Verb::SendAlone {
            self.partner = Some(self.partner());
        }
        Ok(())
    }

    fn act(&self, step: &Step) {
        let mailbox = self.place.segment.open_mailbox("meet").unwrap();
        let ours = message(2, 0, 40);
        let patient = Deadline::after(Duration::from_millis(200));
        match self.verb {
            Verb::SendAlone => step.through(|| mailbox.send_until(&ours, soon()).map(|()| OK)),
            Verb::Send => step.through(|| mailbox.send_until(&ours, patient).map(|()| OK)),
            Verb::TrySend => step.through(|| mailbox.try_send(&ours).map(|sent| if sent { OK } else { TIMEOUT })),
            Verb::Receive => {
                let buffer = step.0.buffer();
                step.through(|| mailbox.receive_until(buffer, patient).map(|_| OK))
            }
            Verb::Borrow => {
                let buffer = step.0.buffer();
                step.through(|| {
                    let borrowed = mailbox.borrow_until(patient)?;
                    borrowed.read(0, &mut buffer[..borrowed.size()])?;
                    borrowed.release().map(|()| OK)
                })
            }
        }
    }

    fn check(&mut self, killed: &Killed) {
        let segment = &self.place.segment;
        if killed.swept {
            segment.sweep().unwrap();
        }
        let mailbox = self.mailbox.take().unwrap();
        let mut buffer = [0; MESSAGE];
        let told_ok = killed.result == Some(OK);
        match self.partner.take() {
            None => {
                // What it had put down may be there still, whole; nothing else is.
                if let Some(received) = mailbox.try_receive(&mut buffer).unwrap() {
                    assert!(killed.result.is_none(), "it was told that nobody has it");
                    assert_eq!(read(&buffer[..received.size]), (2, 0));
                }
            }
            Some((partner, page)) if self.verb.sends() => {
                // The partner gets that message, or the next one.
                let mut sent = false;
                self.place.recovering(|| {
                    triveni_tests::wait_for("the receiver has a message", || {
                        let met = Deadline::after(Duration::from_millis(5));
                        if page.mark.load(Relaxed) != DONE && !sent {
                            sent = mailbox.send_until(&message(1, 0, 40), met).is_ok();
                        }
                        page.mark.load(Relaxed) == DONE
                    });
                });
                let got = whole(&page.left()[..40]).expect("a torn message");
                assert_eq!(got, if sent { (1, 0) } else { (2, 0) }, "somebody was told Ok, and not by this");
                assert!(!(told_ok && sent), "its message went nowhere");
                assert!(killed.result != Some(TIMEOUT) || sent, "it was told that nobody has it");
                drop(partner);
            }
            Some((partner, page)) => {
                // The survivor gets the message, or the dead one had it.
                let mut got = None;
                self.place.recovering(|| {
                    triveni_tests::wait_for("the sender is told that its message was received", || {
                        if let Some(received) = mailbox.try_receive(&mut buffer).unwrap() {
                            assert_eq!(got.replace(read(&buffer[..received.size])), None, "twice");
                        }
                        page.mark.load(Relaxed) == DONE
                    });
                });
                segment.sweep().unwrap();
                if let Some(received) = mailbox.try_receive(&mut buffer).unwrap() {
                    assert_eq!(got.replace(read(&buffer[..received.size])), None, "twice");
                }
                match got {
                    Some(got) => assert!(got == (1, 0) && !told_ok, "received by the dead, and again"),
                    None => assert_eq!(whole(&self.place.page.left()[..40]), Some((1, 0)), "gone, and nobody had it"),
                }
                drop(partner);
            }
        }
        segment.sweep().unwrap();
        // Nobody is here any more: who tries finds nobody, and nothing.
        assert!(!mailbox.try_send(&message(3, 0, 40)).unwrap());
        assert_eq!(mailbox.try_receive(&mut buffer).unwrap(), None);
        segment.remove("meet").unwrap();
        drop(mailbox);
        self.place.is_as_new();
    }
}

#[test]
fn who_meets_somebody_who_dies_goes_on_with_the_next() {
    let verbs = [Verb::SendAlone, Verb::Send, Verb::TrySend, Verb::Receive, Verb::Borrow];
    let cases = verbs.map(|verb| {
        case(format!("mailbox of capacity 0: {verb:?}"), move || MeetingScene {
            place: Place::new(),
            verb,
            mailbox: None,
            partner: None,
        })
    });
    run_all("mailbox of capacity 0", cases.into());
}
