"""Helpers written in Python are called by every engine, whatever name they go by.

In processes of their own: what goes wrong here may end the process.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from anybpf.engines.image.compiling import compile_image
from anybpf.errors import NotSupported
from anybpf.runtime import Runtime, helper
from anybpf.testing import engines
from tests.runtime.making import collection, map_spec

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


@pytest.mark.parametrize("engine", ["interpret", "jit"])
def test_one_in_place_of_a_helper_that_is_built(engine: str) -> None:
    why = engines.problem(engine)
    if why:
        pytest.skip(why)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(engine=engine)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "77\n"), done.stderr


def test_an_image_leaves_no_place_for_one_that_it_does_itself() -> None:
    why = engines.problem("native")
    if why:
        pytest.skip(why)

    @helper("bpf_map_lookup_elem")
    def nothing(table: int, key: int) -> int:
        return 0

    @helper("bpf_ktime_get_ns")
    def clock() -> int:
        return 77

    lookup = """
        *(u32 *)(r10 - 4) = 0
        r2 = r10
        r2 += -4
        r1 = map[counts]
        call bpf_map_lookup_elem
        r0 = 0
        exit
    """
    ahead = compile_image(collection(lookup, maps=[map_spec()]))
    with Runtime("linux", helpers=[nothing, clock]) as runtime:
        with pytest.raises(NotSupported, match="in place of bpf_map_lookup_elem"):
            runtime.load(ahead)
        text = "call bpf_get_smp_processor_id\ncall bpf_ktime_get_ns\nexit"
        with runtime.load(compile_image(collection(text))) as loaded:
            assert loaded.program().test_run(bytes(64)).value == 77
