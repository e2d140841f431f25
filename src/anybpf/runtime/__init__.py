"""The execution context: programs, maps, links and types as objects with numbers and references.

:func:`load` takes an object file and gives a collection that runs inside this process:

    with anybpf.runtime.load("droppacket.o") as loaded:
        result = loaded.programs["drop_packet"].test_run(data=packet)
        print(result.retval_name)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anybpf.runtime.collection import Collection as Collection
    from anybpf.runtime.collection import Variable as Variable
    from anybpf.runtime.helpers import helper as helper
    from anybpf.runtime.infos import LinkInfo as LinkInfo
    from anybpf.runtime.infos import MapInfo as MapInfo
    from anybpf.runtime.infos import ProgramInfo as ProgramInfo
    from anybpf.runtime.link import Link as Link
    from anybpf.runtime.link import attach as attach
    from anybpf.runtime.loading import load as load
    from anybpf.runtime.log import Log as Log
    from anybpf.runtime.log import LogLine as LogLine
    from anybpf.runtime.policy import Policy as Policy
    from anybpf.runtime.policy import Quota as Quota
    from anybpf.runtime.program import Program as Program
    from anybpf.runtime.runtime import Runtime as Runtime
    from anybpf.runtime.testrun import Batch as Batch
    from anybpf.runtime.testrun import TestRun as TestRun
    from anybpf.runtime.types import Types as Types

_HOME = {
    "Batch": "testrun",
    "Collection": "collection",
    "Link": "link",
    "LinkInfo": "infos",
    "Log": "log",
    "LogLine": "log",
    "MapInfo": "infos",
    "Policy": "policy",
    "Program": "program",
    "ProgramInfo": "infos",
    "Quota": "policy",
    "Runtime": "runtime",
    "TestRun": "testrun",
    "Types": "types",
    "Variable": "collection",
    "attach": "link",
    "helper": "helpers",
    "load": "loading",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'anybpf.runtime' has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"anybpf.runtime.{home}"), name)
    globals()[name] = value
    return value
