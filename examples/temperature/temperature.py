"""The temperature monitoring system: many sensors send readings to one mailbox, one monitor prints them.

    temperature.py monitor SEGMENT
    temperature.py sensor SEGMENT ID [SOURCE.csv]

Sensor and monitor may be Rust, C or Python: temperature.rs and temperature.c tell the same story, and
the message is the C struct {int32_t sensor_id; float temperature; double time;}.

A sensor says on stdout what it does, so that others can count: `source`, then for each reading `claim`
and `sent`. TRIVENI_PERIOD_MS is the pause between readings, TRIVENI_THRESHOLD the monitor's alert; with
TRIVENI_REPORT=1 the monitor prints `received` lines too, and with TRIVENI_HOLD_AT=n a sensor keeps its
n-th claim for ever, so that it can be killed there.
"""

import glob
import itertools
import os
import signal
import struct
import sys
import time
from collections.abc import Iterator
from typing import NoReturn

import triveni

READING = struct.Struct("<ifd")  # sensor_id, temperature, time
stopping = False


def stop(*_: object) -> None:
    global stopping
    stopping = True


def sensor(mailbox: triveni.Mailbox, sensor_id: int, source: str, readings: Iterator[float]) -> None:
    period = float(os.environ.get("TRIVENI_PERIOD_MS", "5000")) / 1000
    hold_at = int(os.environ.get("TRIVENI_HOLD_AT", "0"))
    print("source", sensor_id, source, flush=True)
    for n in itertools.count(1):
        temperature = next(readings)
        loan = claim(mailbox)
        if loan is None:
            break
        with loan:  # sends at the end
            now = time.time()
            print(f"claim {sensor_id} {now:.9f}", flush=True)
            if n == hold_at:
                hold(sensor_id, now)
            READING.pack_into(loan, 0, sensor_id, temperature, now)  # in place: nothing is copied on the way
        print(f"sent {sensor_id} {now:.9f}", flush=True)
        if not pause(period):
            break


def claim(mailbox: triveni.Mailbox) -> triveni.Loan | None:
    """Room for one reading; waits while the mailbox is full, unless we are asked to stop."""
    while not stopping:
        try:
            return mailbox.reserve(READING.size, timeout=0.2)
        except TimeoutError:
            continue
    return None


def hold(sensor_id: int, now: float) -> NoReturn:
    print(f"holding {sensor_id} {now:.9f}", flush=True)
    while True:
        signal.pause()


def monitor(mailbox: triveni.Mailbox) -> None:
    threshold = float(os.environ.get("TRIVENI_THRESHOLD", "40"))
    report = os.environ.get("TRIVENI_REPORT") == "1"
    while True:
        last_look = stopping  # asked to stop, take what is left and wait no more
        try:
            message, redelivered = mailbox.receive_info(timeout=0 if last_look else 0.2)
        except TimeoutError:
            if last_look:
                return
            continue
        sensor_id, temperature, sent = READING.unpack(message)
        clock = time.strftime("%H:%M:%S", time.localtime(sent))
        print(f"Sensor {sensor_id}: {temperature:.2f}°C at {clock}", flush=True)
        if temperature > threshold:
            print(f"ALERT: sensor {sensor_id} is above {threshold:.2f}", flush=True)
        if report:
            print(f"received {sensor_id} {sent:.9f} {redelivered}", flush=True)


def find(sensor_id: int) -> tuple[str, Iterator[float]]:
    """A hardware sensor if there is one, the load of a CPU if not; sensors take them by turns."""
    files = glob.glob("/sys/class/hwmon/*/temp*_input") + glob.glob("/sys/class/thermal/thermal_zone*/temp")
    if files := sorted(filter(readable, files)):
        file = files[sensor_id % len(files)]
        return f"hardware sensor {file}, °C", hardware(file)
    cpu = sensor_id % (os.cpu_count() or 1)
    return f"load of CPU {cpu} from /proc/stat, percent (no hardware sensor here)", load(cpu)


def readable(file: str) -> bool:
    try:
        next(hardware(file))
        return True
    except (OSError, ValueError):
        return False


def hardware(file: str) -> Iterator[float]:
    while True:
        with open(file) as thousandths:
            yield int(thousandths.read()) / 1000


def load(cpu: int) -> Iterator[float]:
    """The busy share of one CPU since the last reading."""
    busy_before = total_before = 0
    while True:
        with open("/proc/stat") as stat:
            jiffies = next([int(n) for n in line.split()[1:9]] for line in stat if line.startswith(f"cpu{cpu} "))
        total, busy = sum(jiffies), sum(jiffies) - jiffies[3] - jiffies[4]  # all but idle and iowait
        yield 100 * (busy - busy_before) / max(total - total_before, 1)
        busy_before, total_before = busy, total


def numbers(file: str) -> tuple[str, Iterator[float]]:
    """The last column of a CSV file, again and again; lines without a number there (a heading) are skipped."""
    values = []
    with open(file) as lines:
        for line in lines:
            try:
                values.append(float(line.rsplit(",", 1)[-1]))
            except ValueError:
                continue
    if not values:
        sys.exit(f"temperature: source {file!r} has no number in the last column of any line")
    return f"file {file}", itertools.cycle(values)


def pause(period: float) -> bool:
    """Sleeps in short slices; false as soon as we are asked to stop."""
    end = time.monotonic() + period
    while not stopping:
        left = end - time.monotonic()
        if left <= 0:
            return True
        time.sleep(min(left, 0.05))
    return False


def open_mailbox(segment: str) -> triveni.Mailbox:
    return triveni.Segment.open_or_create(segment).mailbox("TEMP_MONITOR", capacity=100, message_size=READING.size)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    match sys.argv[1:]:
        case ["sensor", segment, number]:
            sensor(open_mailbox(segment), int(number), *find(int(number)))
        case ["sensor", segment, number, file]:
            sensor(open_mailbox(segment), int(number), *numbers(file))
        case ["monitor", segment]:
            monitor(open_mailbox(segment))
        case _:
            print("usage: temperature.py sensor SEGMENT ID [SOURCE.csv] | temperature.py monitor SEGMENT", file=sys.stderr)
            sys.exit(2)
