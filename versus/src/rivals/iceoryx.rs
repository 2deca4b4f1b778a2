//! iceoryx2: publish-subscribe with back-pressure, and an event beside it where the receiver shall sleep, as its
//! manual shows. Each process has a node of its own.

use crate::channel::{Channel, Rx, RxInPlace, Spec, Tx, TxInPlace, Wait, until};
use crate::harness::ok;
use crate::rows::{BULK, Rows};
use iceoryx2::prelude::*;
use std::mem::MaybeUninit;

type Factory<T> = iceoryx2::service::port_factory::publish_subscribe::PortFactory<ipc::Service, T, ()>;
type Slice = iceoryx2::service::port_factory::publish_subscribe::PortFactory<ipc::Service, [u8], ()>;
type Events = iceoryx2::service::port_factory::event::PortFactory<ipc::Service>;
type Publisher<T> = iceoryx2::port::publisher::Publisher<ipc::Service, T, ()>;
type Subscriber<T> = iceoryx2::port::subscriber::Subscriber<ipc::Service, T, ()>;
type Notifier = iceoryx2::port::notifier::Notifier<ipc::Service>;
type Listener = iceoryx2::port::listener::Listener<ipc::Service>;

const BLOCK: BackpressureStrategy = BackpressureStrategy::RetryUntilDelivered;

fn folder() -> String {
    // The same in all processes of a run: of those, the one that has forked them.
    format!("/tmp/versus-iceoryx2-{}", std::env::var("VERSUS_RUN").unwrap_or_default())
}

/// Its place in the file system goes with the run.
pub fn clean() {
    let _ = std::fs::remove_dir_all(folder());
    for file in std::fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
        if file.file_name().to_string_lossy().starts_with("versus_iox2_") {
            let _ = std::fs::remove_file(file.path());
        }
    }
}

fn node() -> Node<ipc::Service> {
    set_log_level(LogLevel::Fatal);
    let mut config = Config::global_config().clone();
    config.global.prefix = ok(FileName::new(b"versus_iox2_"));
    config.global.set_root_path(&ok(Path::new(folder().as_bytes())));
    ok(NodeBuilder::new().config(&config).signal_handling_mode(SignalHandlingMode::Disabled).create::<ipc::Service>())
}

/// Ends open the service at the same time: who is too early tries again.
fn patiently<T, E: std::fmt::Debug>(open: impl Fn() -> Result<T, E>) -> T {
    for _ in 0..200 {
        if let Ok(service) = open() {
            return service;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    ok(open())
}

/// What an end keeps: its port lives as long as these.
struct Service<F> {
    publish: F,
    event: Option<Events>,
    _node: Node<ipc::Service>,
}

/// The limits of a service, whatever its type of message.
macro_rules! open {
    ($type:ty, $spec:expr, $index:expr) => {{
        let (spec, node): (&Spec, _) = ($spec, node());
        let name = ok(ServiceName::new(&format!("{}-{}", spec.name, $index)));
        let publish = patiently(|| {
            node.service_builder(&name)
                .publish_subscribe::<$type>()
                .enable_safe_overflow(false)
                .subscriber_max_buffer_size(spec.depth)
                .subscriber_max_borrowed_samples(1)
                .history_size(0)
                .max_publishers(spec.senders)
                .max_subscribers(spec.receivers)
                .max_nodes(spec.senders + spec.receivers)
                .open_or_create()
        });
        let listeners = spec.receivers;
        let event = (spec.wait == Wait::Block).then(|| {
            patiently(|| {
                node.service_builder(&name)
                    .event()
                    .max_notifiers(spec.senders)
                    .max_listeners(listeners)
                    .open_or_create()
            })
        });
        Service { publish, event, _node: node }
    }};
}

/// Small messages of a fixed type. To each receiver a service of its own, unless all of them get everything.
struct Samples<const N: usize>(Spec);

struct SamplesTx<const N: usize> {
    ports: Vec<(Publisher<[u8; N]>, Option<Notifier>)>,
    next: usize,
    _services: Vec<Service<Factory<[u8; N]>>>,
}

struct SamplesRx<const N: usize> {
    subscriber: Subscriber<[u8; N]>,
    listener: Option<Listener>,
    wait: Wait,
    _service: Service<Factory<[u8; N]>>,
}

impl<const N: usize> Channel for Samples<N> {
    type Tx = SamplesTx<N>;
    type Rx = SamplesRx<N>;
    const MESH: bool = true;
    fn make(spec: &Spec) -> Result<Self, String> {
        Ok(Samples(spec.clone()))
    }
    fn tx(&self, _: usize) -> SamplesTx<N> {
        let services = if self.0.to_all { 1 } else { self.0.receivers };
        let services: Vec<_> = (0..services).map(|i| open!([u8; N], &self.0, i)).collect();
        let ports = services.iter().map(|service| {
            let publisher = ok(service.publish.publisher_builder().backpressure_strategy(BLOCK).create());
            (publisher, service.event.as_ref().map(|event| ok(event.notifier_builder().create())))
        });
        SamplesTx { ports: ports.collect(), next: 0, _services: services }
    }
    fn rx(&self, index: usize) -> SamplesRx<N> {
        let service = open!([u8; N], &self.0, if self.0.to_all { 0 } else { index });
        let subscriber = ok(service.publish.subscriber_builder().create());
        let listener = service.event.as_ref().map(|event| ok(event.listener_builder().create()));
        SamplesRx { subscriber, listener, wait: self.0.wait, _service: service }
    }
}

impl<const N: usize> Tx for SamplesTx<N> {
    #[inline]
    fn send(&mut self, message: &[u8]) {
        let (publisher, notifier) = &self.ports[self.next];
        self.next = if self.next + 1 == self.ports.len() { 0 } else { self.next + 1 };
        let message = *message.first_chunk().expect("the channel is for messages of this size");
        // Nobody has it: the publisher has not seen its subscriber yet.
        while ok(publisher.send_copy(message)) == 0 {}
        if let Some(notifier) = notifier {
            ok(notifier.notify());
        }
    }
}

impl<const N: usize> Rx for SamplesRx<N> {
    #[inline]
    fn receive(&mut self, message: &mut [u8]) {
        let sample = match &self.listener {
            None => until(self.wait, || ok(self.subscriber.receive())),
            Some(listener) => loop {
                if let Some(sample) = ok(self.subscriber.receive()) {
                    break sample;
                }
                ok(listener.blocking_wait(|_| {}));
            },
        };
        message.copy_from_slice(&*sample);
    }
}

/// Large messages, as slices.
struct Slices(Spec);

/// The node and the service live as long as the end.
struct SlicesTx(Publisher<[u8]>, #[allow(dead_code)] Service<Slice>);

struct SlicesRx(Subscriber<[u8]>, Wait, #[allow(dead_code)] Service<Slice>);

impl Channel for Slices {
    type Tx = SlicesTx;
    type Rx = SlicesRx;
    fn make(spec: &Spec) -> Result<Self, String> {
        Ok(Slices(spec.clone()))
    }
    fn tx(&self, _: usize) -> SlicesTx {
        let service = open!([u8], &self.0, 0);
        let builder = service.publish.publisher_builder().initial_max_slice_len(self.0.size);
        SlicesTx(ok(builder.backpressure_strategy(BLOCK).create()), service)
    }
    fn rx(&self, _: usize) -> SlicesRx {
        let service = open!([u8], &self.0, 0);
        SlicesRx(ok(service.publish.subscriber_builder().create()), self.0.wait, service)
    }
}

impl Tx for SlicesTx {
    #[inline]
    fn send(&mut self, message: &[u8]) {
        // As above.
        while ok(ok(self.0.loan_slice_uninit(message.len())).write_from_slice(message).send()) == 0 {}
    }
}

impl TxInPlace for SlicesTx {
    #[inline]
    fn send_in_place(&mut self, size: usize, mut write: impl FnMut(*mut u8)) {
        loop {
            let mut sample = ok(self.0.loan_slice_uninit(size));
            let room: &mut [MaybeUninit<u8>] = sample.payload_mut();
            write(room.as_mut_ptr().cast());
            // SAFETY: what was not written holds the bytes of an earlier message.
            let sample = unsafe { sample.assume_init() };
            if ok(sample.send()) > 0 {
                return;
            }
        }
    }
}

impl Rx for SlicesRx {
    #[inline]
    fn receive(&mut self, message: &mut [u8]) {
        let sample = until(self.1, || ok(self.0.receive()));
        message.copy_from_slice(&sample);
    }
}

impl RxInPlace for SlicesRx {
    #[inline]
    fn receive_in_place(&mut self, size: usize, read: impl FnOnce(*const u8)) {
        let sample = until(self.1, || ok(self.0.receive()));
        assert_eq!(sample.len(), size);
        read(sample.as_ptr());
    }
}

/// All rows of iceoryx2.
pub fn rows(rows: &mut Rows) {
    rows.spinning::<Samples<64>>("iceoryx2", 64);
    rows.blocking::<Samples<64>>("iceoryx2, with event");
    rows.one_by_one::<Samples<64>>("iceoryx2", 64, Wait::Poll);
    rows.one_by_one::<Samples<8>>("iceoryx2", 8, Wait::Poll);
    rows.pace::<Samples<64>>("iceoryx2, with event");
    rows.to_all::<Samples<64>>("iceoryx2", [Wait::Poll, Wait::Yield]);
    rows.contest::<Samples<64>>("iceoryx2, a service for each receiver", [Wait::Yield; 2]);
    for size in BULK {
        rows.bulk::<Slices>("iceoryx2", size, Wait::Poll);
        rows.bulk_in_place::<Slices>("iceoryx2", size, Wait::Poll);
    }
}
