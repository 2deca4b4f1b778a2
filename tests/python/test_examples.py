"""The temperature monitor in Python, both ends of it."""

import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "examples/temperature/temperature.py"


@pytest.fixture
def start(name):
    started = []

    def start(*arguments, **environment):
        environment = {**os.environ, "TRIVENI_PERIOD_MS": "1", **environment}
        process = subprocess.Popen(
            [sys.executable, PROGRAM, *arguments], stdout=subprocess.PIPE, text=True, env=environment
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def stop(process):
    process.send_signal(signal.SIGTERM)
    out = process.stdout.read()
    assert process.wait() == 0
    return out.splitlines()


def next_line(process, word):
    for line in process.stdout:
        if line.startswith(word):
            return line.split()
    pytest.fail(f"it ended before it said {word!r}")


def test_what_is_sent_is_received_once(segment, start):
    monitor = start("monitor", segment.name, TRIVENI_REPORT="1")
    sensor = start("sensor", segment.name, "3")
    sent = [next_line(sensor, "sent") for _ in range(20)]
    sent += [line.split() for line in stop(sensor) if line.startswith("sent")]
    received = [next_line(monitor, "received")]  # it is up, and will not miss the signal
    received += [line.split() for line in stop(monitor) if line.startswith("received")]
    assert [line[1:3] for line in received] == [line[1:3] for line in sent]
    assert {line[3] for line in received} == {"0"}


def test_a_sensor_says_what_it_reads(segment, start, tmp_path):
    sensor = start("sensor", segment.name, "1")
    assert len(next_line(sensor, "source")) > 2
    stop(sensor)
    file = tmp_path / "readings.csv"
    file.write_text("time,temperature\n1,20.5\n2,41.0\n")
    sensor = start("sensor", segment.name, "2", str(file))
    assert str(file) in next_line(sensor, "source")
    next_line(sensor, "sent")
    next_line(sensor, "sent")
    stop(sensor)
    box = segment.mailbox("TEMP_MONITOR", capacity=100, message_size=16)
    readings = [struct.unpack("<ifd", message) for message in iter(box.try_receive, None)]
    mine = [temperature for sensor, temperature, _ in readings if sensor == 2]
    assert len(mine) >= 2 and mine == [(20.5, 41.0)[k % 2] for k in range(len(mine))]


def test_a_sensor_that_waits_for_room_can_be_stopped(segment, start):
    box = segment.mailbox("TEMP_MONITOR", capacity=100, message_size=16)
    sensor = start("sensor", segment.name, "1")
    while len(box) < box.capacity:
        os.sched_yield()
    assert len([line for line in stop(sensor) if line.startswith("sent")]) == box.capacity


def test_the_monitor_prints_readings_and_alerts(segment, start):
    box = segment.mailbox("TEMP_MONITOR", capacity=100, message_size=16)
    box.send(struct.pack("<ifd", 1, 21.25, 0.0))
    box.send(struct.pack("<ifd", 2, 50.0, 0.0))
    lines = stop(start_and_wait(start, segment, box))
    assert lines[0].startswith("Sensor 1: 21.25°C at ") and lines[1].startswith("Sensor 2: 50.00°C at ")
    assert "2" in lines[2] and "40" in lines[2] and len(lines) == 3


def start_and_wait(start, segment, box):
    monitor = start("monitor", segment.name)
    while len(box):
        os.sched_yield()
    return monitor


def test_a_sensor_killed_with_its_claim_loses_only_that(segment, start):
    box = segment.mailbox("TEMP_MONITOR", capacity=100, message_size=16)
    sensor = start("sensor", segment.name, "1", TRIVENI_HOLD_AT="3")
    next_line(sensor, "holding")
    sensor.kill()
    sensor.wait()
    box.send(bytes(16))
    received = [struct.unpack("<ifd", box.receive(timeout=30))[0] for _ in range(3)]
    assert received == [1, 1, 0] and box.try_receive() is None and box.voided() == 1
