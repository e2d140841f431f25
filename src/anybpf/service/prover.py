"""The process that verifies one object and ends: ``python -m anybpf.service.prover``.

It gets one message on its standard input and answers with one on its standard output. It has given
up its rights before it reads the first byte of the object.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from anybpf.service import wire
from anybpf.service.sandbox import give_up

MEMORY = 2 << 30
SECONDS = 60


def read_message(fd: int) -> Any:
    """One message; None at the end of input."""
    got = bytearray()
    while not (size := wire.frame_size(got)) or len(got) < size:
        block = os.read(fd, 1 << 16)
        if not block:
            return None
        got += block
    return wire.decode(got)


def write_message(fd: int, value: object) -> None:
    view = memoryview(wire.encode(value))
    while view:
        view = view[os.write(fd, view) :]


def warm_up() -> None:
    """Import all that a verification needs, while files can be read quickly."""
    import anybpf.engines.proof
    import anybpf.objects.externs
    import anybpf.runtime.loading
    import anybpf.service.edits
    import anybpf.service.keeping
    import anybpf.verifier.verify  # noqa: F401
    from anybpf.verifier import verify  # noqa: F401


def main() -> int:
    memory = int(sys.argv[1]) if len(sys.argv) > 1 else MEMORY
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else SECONDS
    warm_up()
    missing = give_up(memory, seconds)
    write_message(1, ["ready", missing])
    told = read_message(0)
    if told is None:
        return 0
    try:
        answer: list[Any] = ["ok", prove(told)]
    except MemoryError:
        answer = [
            "error",
            {"kind": "InputError", "text": "the object takes too much memory to verify"},
        ]
    except Exception as error:
        answer = ["error", wire.error_to_wire(error)]
    write_message(1, answer)
    return 0


def prove(told: dict[str, Any]) -> bytes:
    """The proof of the object in the message, unsigned."""
    from anybpf.runtime.loading import prove as prove_object
    from anybpf.runtime.runtime import Runtime
    from anybpf.service.edits import read
    from anybpf.service.keeping import load_options

    with Runtime(told["platform"], cpus=told["cpus"]) as runtime:
        options = load_options(told["options"])
        options.pop("pin_root", None)
        options.pop("engine", None)
        spec = read(told["data"], runtime.platform, told["options"])
        return prove_object(spec, told["data"], runtime, **options)


if __name__ == "__main__":
    os._exit(main())
