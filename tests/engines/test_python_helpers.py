"""Helpers written in Python are called by every engine, whatever name they go by.

In processes of their own: what goes wrong here may end the process.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from anybpf.testing import engines

SCRIPT = """
from anybpf.runtime import Runtime, helper
from tests.runtime.making import collection

@helper("bpf_ktime_get_ns")
def clock() -> int:
    return 77

text = "call bpf_get_smp_processor_id\\ncall bpf_ktime_get_ns\\nexit"
with Runtime("linux", helpers=[clock]) as runtime:
    loaded = runtime.load(collection(text), engine="{engine}")
    print(loaded.programs["main"].test_run(bytes(64)).value)
    loaded.close()
"""


@pytest.mark.parametrize(
    "engine",
    [
        "interpret",
        pytest.param(
            "jit",
            marks=pytest.mark.xfail(
                strict=True,
                reason="compiled code takes it for the helper of that name: it does not say which "
                "helper is being called, and whoever runs Python's then takes another",
            ),
        ),
    ],
)
def test_one_in_place_of_a_helper_that_is_built(engine: str) -> None:
    why = engines.problem(engine)
    if why:
        pytest.skip(why)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(engine=engine)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "77\n"), done.stderr
