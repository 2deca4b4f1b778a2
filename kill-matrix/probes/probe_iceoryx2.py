"""iceoryx2: publish-subscribe, event, request-response. Ports are made when first needed. What has no blocking call
is asked again every 100 µs; meanwhile dead nodes are cleaned up every 10 ms, as its manual offers."""

import ctypes
import importlib.metadata
import time

import iceoryx2 as iox2
import speak

LOOK, CLEAN = 100e-6, 10e-3
SIZE = speak.SIZE


class Message(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint8 * SIZE)]


def node(name):
    iox2.set_log_level(iox2.LogLevel.Fatal)
    config = iox2.config.default()  # its own place, so that nobody else's nodes are touched
    config.global_cfg.prefix = iox2.FileName.new(f"{name}_")
    config.global_cfg.root_path = iox2.Path.new(f"/tmp/{name}")
    return iox2.NodeBuilder.new().config(config).create(iox2.ServiceType.Ipc)


def service(node_, name):
    return node_.service_builder(iox2.ServiceName.new(name))


def poll(node_, ask):
    """Asks until there is an answer."""
    clean = time.monotonic() + CLEAN
    while (answer := ask()) is None:
        time.sleep(LOOK)
        if time.monotonic() > clean:
            node_.try_cleanup_dead_nodes()
            clean = time.monotonic() + CLEAN
    return answer


def once(make):
    made = []
    return lambda: made[0] if made else made.append(make()) or made[0]


def pubsub(name, create):
    node_ = node(name)
    builder = service(node_, name).publish_subscribe(Message)
    factory = builder.max_publishers(4).max_subscribers(8).subscriber_max_buffer_size(16).enable_safe_overflow(False).open_or_create()
    block = iox2.BackpressureStrategy.RetryUntilDelivered
    publisher = once(lambda: factory.publisher_builder().backpressure_strategy(block).create())
    subscriber = once(lambda: factory.subscriber_builder().create())
    sender, receiver, loans = speak.Sender(), speak.Receiver(), []

    def send(message):
        """It answers how many got the message: none, if their buffers are full."""
        poll(node_, lambda: publisher().send_copy(Message.from_buffer_copy(message)) or None)

    def receive():
        sample = poll(node_, subscriber().receive)
        message = bytes(sample.payload().contents.bytes)
        sample.delete()
        return receiver.check(message)

    return {
        "prepare": lambda: subscriber() and None,
        "send": lambda: send(sender.message()),
        "mark": lambda: send(sender.message(mark=True)),
        "receive": receive,
        "reserve": lambda: loans.append(publisher().loan_uninit()),
        "cancel": lambda: loans.pop().delete(),
    }, None


def event(name, create):
    node_ = node(name)
    factory = service(node_, name).event().max_notifiers(8).max_listeners(8).open_or_create()
    listener = once(lambda: factory.listener_builder().create())
    notifier = once(lambda: factory.notifier_builder().create())

    def wait():
        while not listener().blocking_wait():
            pass

    return {
        "prepare": lambda: listener() and None,
        "wait": wait,
        "set": lambda: notifier().notify() and None,
        "clear": lambda: None,
    }, None


def request_response(name, create):
    node_ = node(name)
    number = ctypes.c_uint64
    factory = service(node_, name).request_response(number, number).max_clients(4).max_servers(4).open_or_create()
    client = once(lambda: factory.client_builder().create())
    server = once(lambda: factory.server_builder().create())
    requests = []

    def call():
        pending = client().send_copy(number(1))

        def answer():
            response = pending.receive()
            return "ok" if response is not None else None if pending.is_connected else "told"

        return poll(node_, answer)

    def take():
        requests.append(poll(node_, server().receive))

    def reply():
        request = requests.pop()
        request.send_copy(number(2))
        request.delete()

    return {"prepare": lambda: server() and None, "call": call, "take": take, "reply": reply}, None


speak.run(
    lambda: f"iceoryx2 {importlib.metadata.version('iceoryx2')}",
    {"pubsub": pubsub, "event": event, "request": request_response},
)
