"""The stubs say what the module does, and the examples and the peer pass a strict type checker."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

#: What Python 3.11 has by the buffer protocol, without a method of that name (PEP 688 comes with 3.12); and the
#: list that PyO3 adds to a module, which is private here.
ALLOWED = r"""
triveni(\._triveni)?\.\w+\.(__buffer__|__release_buffer__)
triveni\._triveni\.__all__
"""


def run(*command, **options):
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, **options)


def test_stubs_and_module_agree(tmp_path):
    allowed = tmp_path / "allowed"
    allowed.write_text(ALLOWED)
    ran = run("-m", "mypy.stubtest", "triveni", "--allowlist", allowed, "--ignore-unused-allowlist", cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_programs_pass_a_strict_type_checker(tmp_path):
    files = [*ROOT.glob("examples/*/*.py"), ROOT / "tests/peers/peer.py"]
    assert len(files) >= 3
    ran = run("-m", "mypy", "--strict", "--cache-dir", tmp_path, "--config-file", "", *files, cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_a_wrong_type_is_found(tmp_path):
    wrong = tmp_path / "wrong.py"
    wrong.write_text("import triveni\ntriveni.Segment.open('x').mailbox('m').send('text')\n")
    ran = run("-m", "mypy", "--strict", "--cache-dir", tmp_path, "--config-file", "", wrong, cwd=tmp_path)
    assert ran.returncode == 1 and "Buffer" in ran.stdout, ran.stdout


def test_everything_public_is_exported_and_documented():
    import triveni
    from triveni import deadlock, kernel

    compiled = {name for name in vars(triveni._triveni) if not name.startswith("_")}
    assert {*triveni.__all__, *kernel.__all__, *deadlock.__all__} == compiled | {
        "__version__",
        "pipe_from_child",
        "pipe_to_child",
        "type_of",
    }
    for module in (triveni, kernel, deadlock):
        check_exports(module)


def check_exports(module):
    assert module.__all__ == sorted(module.__all__, key=lambda name: (name[0] == "_", not name.isupper(), name))
    for name in module.__all__:
        thing = getattr(module, name)
        if isinstance(thing, type):
            assert thing.__doc__ and thing.__module__ == module.__name__, name
            if not issubclass(thing, Exception):
                for attribute, value in vars(thing).items():
                    assert attribute.startswith("_") or value.__doc__, f"{name}.{attribute} has no help"
