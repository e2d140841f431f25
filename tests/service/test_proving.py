"""Verification apart: what the process may not do, and what becomes of those that it ends for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from anybpf.backends.service import ServiceBackend
from anybpf.errors import InputError
from anybpf.service.proving import Provers, environment
from tests.service.conftest import Serve


def in_sandbox(code: str) -> str:
    """What a process without rights prints after trying something."""
    program = (
        "import errno, os, socket, sys, ctypes\n"
        "from anybpf.service.sandbox import give_up\n"
        "left = give_up(1 << 30, 10)\n"
        "def tried(function, *arguments):\n"
        "    try:\n"
        "        function(*arguments)\n"
        "    except OSError as error:\n"
        "        return errno.errorcode[error.errno]\n"
        "    return 'done'\n"
        f"{code}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    return (done.stdout + done.stderr[-500:]).strip()


NEEDS_FILTER = pytest.mark.skipif(
    "seccomp" in in_sandbox("print(left)"), reason="this system has no filter of system calls"
)


@NEEDS_FILTER
@pytest.mark.parametrize(
    "attempt",
    [
        "socket.socket, socket.AF_INET, socket.SOCK_STREAM",
        "socket.socket, socket.AF_UNIX",
        "os.fork",
        "os.kill, 1, 0",
        "os.execv, sys.executable, [sys.executable]",
        "os.open, '/tmp/anybpf-sandbox', os.O_WRONLY | os.O_CREAT",
        "os.open, '/dev/null', os.O_RDWR",
        "os.unlink, '/tmp/anybpf-sandbox'",
        "os.mkdir, '/tmp/anybpf-sandbox'",
        "os.chmod, '/tmp', 0o777",
        "os.setuid, 0",
        "os.memfd_create, 'x'",
    ],
)
def test_what_a_prover_may_not_do(attempt: str) -> None:
    assert in_sandbox(f"print(tried({attempt}))") in ("EPERM", "EACCES")


def test_what_a_prover_may_do() -> None:
    assert in_sandbox("print(len(open(os.devnull).read()), sum(range(10)))") == "0 45"
    assert in_sandbox("print(tried(lambda: bytearray(2 << 30)))").endswith("MemoryError")


def test_an_environment_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "x")
    assert "SECRET_TOKEN" not in environment()


def test_too_little_memory_is_an_error_of_that_client_alone(serve: Serve, counter: Path) -> None:
    service = serve(provers={"memory": 1 << 20})
    pid = service.status()["pid"]
    with pytest.raises(InputError, match=r"the service goes on|too much memory"):
        service.load(counter.read_bytes() + bytes(16 << 20))
    assert service.status()["pid"] == pid
    assert service.ids("map") == []


def test_a_prover_that_is_killed_or_hangs(counter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    provers = Provers(spare=False)
    real = provers._start

    def instead(code: str) -> None:
        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )

        monkeypatch.setattr(provers, "_start", start)

    data = counter.read_bytes()
    for code, told in (
        ("import os; os.kill(os.getpid(), 11)", "SIGSEGV"),
        ("import sys; sys.stdout.write('nonsense nonsense nonsense')", "exit code 0"),
        ("", "exit code 0"),
    ):
        instead(code)
        with pytest.raises(InputError, match=told):
            provers.prove(data, {}, "linux", 2)
    monkeypatch.setattr("anybpf.service.proving.PATIENCE", 0.3)
    provers.seconds = 0
    instead("import time; time.sleep(60)")
    with pytest.raises(InputError, match="not verified within"):
        provers.prove(data, {}, "linux", 2)
    assert provers.crashes == 4
    monkeypatch.setattr(provers, "_start", real)
    provers.close()


def test_rubbish_as_objects(service: ServiceBackend, counter: Path) -> None:
    data = counter.read_bytes()
    for rubbish in (b"", b"\x7fELF", data[:200], data[:-400], bytes(1000)):
        with pytest.raises(InputError):
            service.load(rubbish)
    assert service.ids("map") == []
    assert service.status()["prover_crashes"] == 0
