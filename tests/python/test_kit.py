"""The wheel is the C kit too, and brings the command."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import triveni

ROOT = Path(__file__).parents[2]
KIT = Path(triveni.__file__).parent / "kit"


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def flags(*wanted):
    ran = run(sys.executable, "-m", "triveni", *wanted)
    assert ran.returncode == 0, ran.stderr
    return shlex.split(ran.stdout)


def test_the_kit_is_whole():
    for file in (
        "include/triveni.h", "lib/libtriveni.so", "lib/libtriveni.so.0", "lib/libtriveni.a", "lib/pkgconfig/triveni.pc",
        "lib/cmake/triveni/triveniConfig.cmake",
    ):
        assert (KIT / file).is_file(), file


def test_flags_say_where_the_kit_is():
    assert flags("--cflags") == [f"-I{KIT}/include"]
    assert flags("--libs") == [f"-L{KIT}/lib", f"-Wl,-rpath,{KIT}/lib", "-ltriveni"]
    assert flags("--cflags", "--libs") == flags("--cflags") + flags("--libs")


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")
def test_hello_in_c_compiles_with_these_flags_and_talks_to_python(tmp_path, segment):
    source = tmp_path / "hello.c"
    source.write_text(
        f"""
        #include <stdio.h>
        #include <triveni.h>
        int main(void) {{
            tvn_segment_t *segment;
            tvn_mailbox_t *box;
            if (tvn_segment_open("{segment.name}", &segment) < 0) return tvn_perror("segment"), 1;
            if (tvn_mailbox(segment, "greetings", 10, 256, &box) < 0) return tvn_perror("mailbox"), 1;
            return tvn_mailbox_send(box, "hello from C", 12, TVN_FOREVER) < 0;
        }}
        """
    )
    program = tmp_path / "hello"
    compiled = run("cc", "-std=c11", "-Wall", "-Wextra", "-Werror", source, "-o", program, *flags("--cflags", "--libs"))
    assert compiled.returncode == 0, compiled.stderr
    ran = run(program)
    assert ran.returncode == 0, ran.stderr
    assert segment.mailbox("greetings").receive(timeout=30) == b"hello from C"


def test_the_command_comes_with_the_wheel(segment):
    for command in ([sys.executable, "-m", "triveni"], [str(Path(sys.executable).parent / "triveni")]):
        listed = run(*command, "ls")
        assert listed.returncode == 0 and segment.name in listed.stdout, listed.stderr
        assert run(*command, "--version").stdout.split() == ["triveni", triveni.__version__]
        assert run(*command, "no-such-command").returncode == 2


def test_a_closed_pipe_ends_the_command_quietly(segment):
    for k in range(200):
        segment.semaphore(f"semaphore-{k}")
    read, write = os.pipe()
    os.close(read)
    ran = subprocess.run([sys.executable, "-m", "triveni", "ls"], stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert "panicked" not in ran.stderr and "Traceback" not in ran.stderr


def test_hello_is_a_sender_and_a_receiver_in_six_lines():
    script = ROOT / "examples/hello/hello.py"
    assert len([line for line in script.read_text().splitlines() if line.strip()]) <= 6
    sender = run(sys.executable, script, "send", timeout=60)
    receiver = run(sys.executable, script, timeout=60)
    triveni.Segment.unlink("hello")
    assert sender.returncode == 0 and receiver.returncode == 0 and "ython" in receiver.stdout
