"""Channels in Python: made before the fork, `sender(case)` and `receiver(case)` in their processes."""

import ctypes
import importlib
import os
import pathlib
import shutil
import struct
import time

ARRAY = 8 << 20
LIST = 100
DEPTH = 1024
ALL = []


class Missing(Exception):
    """Not here, with the reason."""


def library(module, package=None):
    try:
        return importlib.import_module(module)
    except ImportError as error:
        log = pathlib.Path(os.environ.get("VERSUS_MADE", "."), "libraries", f"python-{package or module}.missing")
        raise Missing(log.read_text().strip() if log.is_file() else str(error)) from None


def name():
    name.number += 1
    return f"versus-{os.getpid()}-{name.number}"


name.number = 0


class Channel:
    """What is common: nothing to close, and an orderly end."""

    abrupt = False

    def close(self):
        pass


def row(title, *cases, **facts):
    """Registers a class under its name in the table."""

    def register(kind):
        ALL.append((title, cases, kind, facts))
        return kind

    return register


def numbers(array_bytes):
    """A numpy array over a buffer of ours."""
    import numpy

    return numpy.frombuffer(array_bytes, dtype=numpy.float64)


SPINS = "spins, then blocks"


@row("triveni Mailbox", "one by one", "in lists", "8 MiB array", copies="in and out; arrays not", waits=SPINS, depth="1024; arrays 4")
class Mailbox(Channel):
    def __init__(self, case):
        triveni = library("triveni")
        depth, size = (4, ARRAY) if case == "8 MiB array" else (DEPTH, 64)
        self.segment = triveni.Segment.anonymous(size=(depth + 1) * (size + 4096) + (1 << 20))
        self.box = self.segment.mailbox("m", depth, size)

    def sender(self, case):
        if case == "one by one":
            return self.box.send
        if case == "in lists":
            return self.box.send_many
        reserve = self.box.reserve

        def put(i):
            loan = reserve(ARRAY)
            array = numbers(loan)
            array[0] = i
            del array
            loan.commit()

        return put

    def receiver(self, case):
        if case == "one by one":
            return self.box.receive
        if case == "in lists":
            return lambda: self.box.receive_many(LIST)
        borrow = self.box.borrow

        def get():
            borrowed = borrow()
            array = numbers(borrowed)
            number = array[0]
            del array
            borrowed.release()
            return number

        return get


@row("triveni Ring", "one by one", "in lists", "8 MiB array", copies="in and out; arrays not", waits=SPINS, depth="1024; arrays 4")
class Ring(Channel):
    def __init__(self, case):
        triveni = library("triveni")
        size = 8 * ARRAY if case == "8 MiB array" else 128 * DEPTH
        self.segment = triveni.Segment.anonymous(size=size + (1 << 20))
        self.ring = self.segment.ring("r", size)

    def sender(self, case):
        self.end = self.ring.producer()
        if case == "one by one":
            return self.end.write
        if case == "in lists":
            return self.end.write_many
        reserve = self.end.reserve

        def put(i):
            grant = reserve(ARRAY)
            array = numbers(grant)
            array[0] = i
            del array
            grant.commit()

        return put

    def receiver(self, case):
        self.end = self.ring.consumer()
        if case == "one by one":
            return self.end.read
        if case == "in lists":
            return lambda: self.end.read_many(LIST)
        peek = self.end.peek

        def get():
            grant = peek()
            array = numbers(grant)
            number = array[0]
            del array
            grant.release()
            return number

        return get


@row("multiprocessing.Queue", "one by one", "in lists", "8 MiB array", copies="pickles", waits="blocks", depth="1024; arrays 4")
class Queue(Channel):
    def __init__(self, case):
        import multiprocessing

        self.queue = multiprocessing.get_context("fork").Queue(4 if case == "8 MiB array" else DEPTH)

    def sender(self, case):
        if case != "8 MiB array":
            return self.queue.put
        import numpy

        array = numpy.zeros(ARRAY // 8)

        def put(i):
            array[0] = i
            self.queue.put(array.copy())  # it is pickled later, by a thread

        return put

    def receiver(self, case):
        return self.queue.get if case != "8 MiB array" else lambda: self.queue.get()[0]

    def close(self):
        self.queue.close()
        self.queue.cancel_join_thread()


@row("multiprocessing.Pipe", "one by one", "in lists", "8 MiB array", copies="pickles", waits="blocks", depth="64 KiB")
class Pipe(Channel):
    def __init__(self, case):
        import multiprocessing

        self.here, self.there = multiprocessing.get_context("fork").Pipe(duplex=False)

    def sender(self, case):
        if case == "one by one":
            return self.there.send_bytes
        if case == "in lists":
            return self.there.send
        import numpy

        array = numpy.zeros(ARRAY // 8)

        def put(i):
            array[0] = i
            self.there.send_bytes(array)

        return put

    def receiver(self, case):
        if case == "one by one":
            return self.here.recv_bytes
        if case == "in lists":
            return self.here.recv
        room = bytearray(ARRAY)
        array = numbers(room)

        def get():
            self.here.recv_bytes_into(room)
            return array[0]

        return get

    def close(self):
        self.here.close()
        self.there.close()


@row("multiprocessing.shared_memory + Pipe", "8 MiB array", copies="nothing", waits="blocks", depth="4")
class SharedMemory(Channel):
    def __init__(self, case):
        import multiprocessing
        from multiprocessing import shared_memory

        context = multiprocessing.get_context("fork")
        self.memory = shared_memory.SharedMemory(create=True, size=4 * ARRAY)
        self.full, self.free = context.Pipe(duplex=False), context.Pipe(duplex=False)
        for slot in range(4):
            self.free[1].send_bytes(struct.pack("q", slot))

    def array(self, slot):
        return numbers(self.memory.buf[slot * ARRAY : (slot + 1) * ARRAY])

    def sender(self, case):
        def put(i):
            slot = self.free[0].recv_bytes()
            self.array(*struct.unpack("q", slot))[0] = i
            self.full[1].send_bytes(slot)

        return put

    def receiver(self, case):
        def get():
            slot = self.full[0].recv_bytes()
            number = self.array(*struct.unpack("q", slot))[0]
            self.free[1].send_bytes(slot)
            return number

        return get

    def close(self):
        self.memory.close()
        self.memory.unlink()


@row("iceoryx2", "one by one", "8 MiB array", copies="in and out; arrays not", waits="polls", depth="1024; arrays 4")
class Iceoryx(Channel):
    def __init__(self, case):
        self.iox2 = library("iceoryx2")
        self.name, self.large = name(), case == "8 MiB array"
        self.type = ctypes.c_uint8 * (ARRAY if self.large else 64)
        self.depth = 4 if self.large else DEPTH

    def factory(self):
        iox2 = self.iox2
        iox2.set_log_level(iox2.LogLevel.Fatal)
        config = iox2.config.default()
        config.global_cfg.prefix = iox2.FileName.new("versus_py_")
        config.global_cfg.root_path = iox2.Path.new(f"/tmp/{self.name}")

        class Message(ctypes.Structure):
            _fields_ = [("bytes", self.type)]

        self.message = Message
        self.node = iox2.NodeBuilder.new().config(config).create(iox2.ServiceType.Ipc)
        for _ in range(200):  # both open it at the same time: who is too early tries again
            try:
                builder = self.node.service_builder(iox2.ServiceName.new(self.name)).publish_subscribe(Message)
                builder = builder.max_publishers(1).max_subscribers(1).enable_safe_overflow(False)
                self.service = builder.subscriber_max_buffer_size(self.depth).open_or_create()
                return self.service
            except Exception as error:
                last = error
                time.sleep(0.005)
        raise last

    def sender(self, case):
        block = self.iox2.BackpressureStrategy.RetryUntilDelivered
        publisher = self.factory().publisher_builder().backpressure_strategy(block).create()
        message = self.message
        if not self.large:

            def put_one(bytes_):
                if not publisher.send_copy(message.from_buffer_copy(bytes_)):
                    raise RuntimeError("nobody was there to get it")

            return put_one

        def put(i):
            sample = publisher.loan_uninit()
            numbers(sample.payload().contents)[0] = i
            sample.assume_init().send()

        return put

    def receiver(self, case):
        subscriber = self.factory().subscriber_builder().create()

        def get():
            while (sample := subscriber.receive()) is None:
                pass
            payload = sample.payload().contents
            answer = numbers(payload)[0] if self.large else bytes(payload)
            sample.delete()
            return answer

        return get

    def close(self):
        shutil.rmtree(f"/tmp/{self.name}", ignore_errors=True)
        for left in pathlib.Path("/dev/shm").glob("versus_py_*"):
            left.unlink(missing_ok=True)


@row("pyzmq", "one by one", "in lists", "8 MiB array", copies="in and out, in the kernel", waits="blocks", depth="1024 on each side; arrays 4")
class Zmq(Channel):
    def __init__(self, case):
        self.zmq = library("zmq", "pyzmq")
        self.path = f"/tmp/{name()}"
        self.depth = 4 if case == "8 MiB array" else DEPTH

    def socket(self, kind):
        self.context = self.zmq.Context()
        socket = self.context.socket(kind)
        socket.setsockopt(self.zmq.SNDHWM, self.depth)
        socket.setsockopt(self.zmq.RCVHWM, self.depth)
        socket.setsockopt(self.zmq.LINGER, 1000)
        return socket

    def sender(self, case):
        socket = self.socket(self.zmq.PUSH)
        socket.connect(f"ipc://{self.path}")
        if case == "one by one":
            return socket.send
        if case == "in lists":
            return socket.send_multipart
        import numpy

        array = numpy.zeros(ARRAY // 8)

        def put(i):
            array[0] = i
            socket.send(array)  # copied: it is written again while the library still sends

        return put

    def receiver(self, case):
        socket = self.socket(self.zmq.PULL)
        socket.bind(f"ipc://{self.path}")
        if case == "one by one":
            return socket.recv
        if case == "in lists":
            return socket.recv_multipart
        return lambda: numbers(socket.recv(copy=False).buffer)[0]

    def close(self):
        pathlib.Path(self.path).unlink(missing_ok=True)


@row("pynng", "one by one", "8 MiB array", copies="in and out, in the kernel", waits="blocks", depth="1024 on each side; arrays 4")
class Nng(Channel):
    abrupt = True  # its threads do not end with a fork's child

    def __init__(self, case):
        library("pynng")
        self.path = f"/tmp/{name()}"
        self.depth = 4 if case == "8 MiB array" else DEPTH

    def sender(self, case):
        import pynng

        # A push socket without a peer that is connected does not send; it is not blocked for ever either.
        self.socket = pynng.Push0(dial=f"ipc://{self.path}", block_on_dial=None, send_buffer_size=self.depth)
        if case == "one by one":
            return self.socket.send
        import numpy

        array = numpy.zeros(ARRAY // 8)

        def put(i):
            array[0] = i
            self.socket.send(array.tobytes())

        return put

    def receiver(self, case):
        import pynng

        self.socket = pynng.Pull0(listen=f"ipc://{self.path}", recv_buffer_size=self.depth, recv_max_size=0)
        return self.socket.recv if case == "one by one" else lambda: numbers(self.socket.recv())[0]

    def close(self):
        pathlib.Path(self.path).unlink(missing_ok=True)


@row("posix_ipc", "one by one", copies="in and out, in the kernel", waits="blocks", depth="as the system allows")
class PosixIpc(Channel):
    def __init__(self, case):
        posix_ipc = library("posix_ipc", "posix-ipc")
        most = int(pathlib.Path("/proc/sys/fs/mqueue/msg_max").read_text())
        self.queue = posix_ipc.MessageQueue(f"/{name()}", posix_ipc.O_CREX, max_messages=min(DEPTH, most), max_message_size=64)

    def sender(self, case):
        return self.queue.send

    def receiver(self, case):
        return lambda: self.queue.receive()[0]

    def close(self):
        self.queue.close()
        self.queue.unlink()


@row("faster-fifo", "one by one", "in lists", "8 MiB array", copies="pickles", waits="blocks", depth="by bytes")
class FasterFifo(Channel):
    def __init__(self, case):
        faster_fifo = library("faster_fifo", "faster-fifo")
        library("faster_fifo_reduction", "faster-fifo")
        # 64 bytes, pickled, are about 90.
        self.queue = faster_fifo.Queue(max_size_bytes=4 * (ARRAY + 4096) if case == "8 MiB array" else 96 * DEPTH)

    def sender(self, case):
        hour = 3600
        if case == "one by one":
            return lambda message: self.queue.put(message, timeout=hour)
        if case == "in lists":
            return lambda messages: self.queue.put_many(messages, timeout=hour)
        import numpy

        array = numpy.zeros(ARRAY // 8)

        def put(i):
            array[0] = i
            self.queue.put(array, timeout=hour)

        return put

    def receiver(self, case):
        hour = 3600
        if case == "one by one":
            return lambda: self.queue.get(timeout=hour)
        if case == "in lists":
            return lambda: self.queue.get_many(timeout=hour, max_messages_to_get=LIST)
        return lambda: self.queue.get(timeout=hour)[0]


@row("SubEtha SpscRing", "one by one", copies="in and out", waits="polls", depth="1024")
class SubEtha(Channel):
    def __init__(self, case):
        self.subetha = library("subetha", "subetha-ipc")
        self.folder = f"/dev/shm/{name()}.d"
        os.makedirs(self.folder)
        self.made = self.subetha.SpscRing(f"{self.folder}/ring", DEPTH)

    def sender(self, case):
        push = self.subetha.SpscRing.open(f"{self.folder}/ring", DEPTH).push

        def put(message):
            while not push(message):
                pass

        return put

    def receiver(self, case):
        pop = self.subetha.SpscRing.open(f"{self.folder}/ring", DEPTH).pop

        def get():
            while (message := pop()) is None:
                pass
            return message

        return get

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)
