"""What helpers say of whoever caused an event: of this thread, or as a test says it."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping

import pytest

from anybpf.errors import InputError
from anybpf.runtime import Runtime
from anybpf.runtime.event import event_bytes
from tests.runtime.making import collection

PID = "call bpf_get_current_pid_tgid\nexit"


def test_without_a_word_it_is_this_thread(runtime: Runtime) -> None:
    with runtime.load(collection(PID, kind="kprobe")) as loaded:
        value = loaded.program().test_run().value
        assert value == os.getpid() << 32 | threading.get_native_id()


def test_a_test_may_say_who(runtime: Runtime) -> None:
    with runtime.load(collection(PID, kind="kprobe")) as loaded:
        program = loaded.program()
        assert program.test_run(event={"pid": 7}).value == 7 << 32 | 7
        assert program.test_run(event={"pid": 7, "tid": 8}).value == 7 << 32 | 8
    text = "call bpf_get_current_uid_gid\nexit"
    with runtime.load(collection(text, kind="kprobe")) as loaded:
        assert loaded.program().test_run(event={"uid": 1000, "gid": 100}).value == 100 << 32 | 1000


def test_names_are_cut_as_in_the_kernel() -> None:
    assert b"a-very-long-nam\0" in event_bytes({"comm": "a-very-long-name-of-a-process"})


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({"pidd": 1}, r"no 'pidd' \(did you mean pid"),
        ({"pid": "one"}, "is a number, not str"),
        ({"pid": 1 << 32}, "has 32 bits"),
        (["pid"], "values by name"),
    ],
)
def test_what_is_no_event(event: Mapping[str, int], words: str) -> None:
    with pytest.raises(InputError, match=words):
        event_bytes(event)
