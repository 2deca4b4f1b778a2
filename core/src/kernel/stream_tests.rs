use crate::deadline::Deadline;
use crate::kernel::own_process::in_its_own_process;
use crate::kernel::{Child, Stream, fork};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

const LONG: usize = 4 << 20;

fn patience() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

/// A child that ends with 0 if what it does is true.
fn child(does: impl FnOnce() -> bool) -> Child {
    // SAFETY: the child allocates, which the C library allows, and uses nothing else that a thread could hold.
    unsafe { fork(|| i32::from(!does())) }.unwrap()
}

fn is_true(child: Child) -> bool {
    child.wait_until(patience()).unwrap().success()
}

/// Until all that has come was read.
fn wait_until_empty(stream: &Stream) {
    let mut n: libc::c_int = 1;
    while n > 0 {
        // SAFETY: FIONREAD writes one int to memory of ours.
        assert_eq!(unsafe { libc::ioctl(stream.as_fd().as_raw_fd(), libc::FIONREAD, &mut n) }, 0);
    }
}

#[test]
fn a_child_has_its_own_turn_while_a_thread_of_its_parent_is_sending() {
    in_its_own_process(|| {
        let (a, b) = Stream::pair().unwrap();
        let (ready, go) = Stream::pair().unwrap();
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| a.send_until(&vec![1; LONG], patience()).unwrap());
            while a.unsent_on(None).unwrap().is_some() {} // until it has the turn; it cannot end before it is received
            let child = child(|| {
                a.unsent_on(None).unwrap() == Some(0)
                    && go.receive_until(&mut [0; 8], patience()).is_ok()
                    && a.send_until(b"mine", patience()).is_ok()
            });
            let mut message = vec![0; LONG];
            assert_eq!(b.receive_until(&mut message, patience()).unwrap(), LONG);
            sending.join().unwrap();
            ready.send(b"go").unwrap();
            assert_eq!(b.receive_until(&mut message, patience()).unwrap(), 4);
            assert_eq!(&message[..4], b"mine");
            assert!(is_true(child));
        });
    });
}

#[test]
fn a_child_has_its_own_turn_while_a_thread_of_its_parent_is_receiving() {
    in_its_own_process(|| {
        let (a, b) = Stream::pair().unwrap();
        let (ready, go) = Stream::pair().unwrap();
        std::thread::scope(|scope| {
            let receiving = scope.spawn(|| {
                let mut message = [0; 8];
                b.receive_until(&mut message, patience()).map(|size| message[..size].to_vec()).unwrap()
            });
            a.write(&[0, 0, 0, 5]).unwrap();
            wait_until_empty(&b); // the thread has the length, and waits for the message
            let child = child(|| {
                let mut message = [0; 8];
                go.receive_until(&mut message, patience()).is_ok()
                    && b.receive_until(&mut message, patience()).is_ok_and(|size| size == 4)
                    && message.starts_with(b"mine")
            });
            a.write(b"hello").unwrap();
            assert_eq!(receiving.join().unwrap(), b"hello");
            ready.send(b"go").unwrap();
            a.send(b"mine").unwrap();
            assert!(is_true(child));
        });
    });
}

#[test]
fn what_is_kept_of_a_message_stays_the_parents() {
    in_its_own_process(|| {
        let (a, b) = Stream::pair().unwrap();
        assert!(a.try_send(&vec![1; LONG]).unwrap());
        let left = a.unsent();
        assert!(left > 0);
        assert!(is_true(child(|| a.unsent() == 0 && a.try_flush().unwrap())));
        assert_eq!(a.unsent(), left);
        let mut message = vec![0; LONG];
        while a.unsent() > 0 {
            assert_eq!(b.try_receive(&mut message).unwrap(), None);
            a.try_flush().unwrap();
        }
        assert_eq!(b.try_receive(&mut message).unwrap(), Some(LONG));
    });
}
