//! Killed in an operation on an unbounded mailbox, whose pages come and go: with a ceiling of three, each place is one.

use crate::mailbox::{MailboxScene, MailboxVerb::*};
use crate::scene::*;
use triveni::Capacity;

#[test]
fn an_unbounded_mailbox_loses_neither_messages_nor_pages() {
    let mut cases = Vec::new();
    for verb in [Send, Commit, Cancel, Receive, Peek] {
        for (fill, how) in [(0, "empty"), (1, "a third"), (3, "at its ceiling")] {
            // There it says so at once.
            if fill == 3 && !matches!(verb, Receive | Peek) {
                continue;
            }
            cases.push(case(format!("mailbox, unbounded, {how}: {verb:?}"), move || {
                MailboxScene::of(Capacity::Unbounded { ceiling: 3 }, verb, fill, 40)
            }));
        }
    }
    run_all("mailbox, unbounded", cases);
}
