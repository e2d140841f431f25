"""What the kernel of this machine says of a program, for `anybpf verify --backend linux`.

The program is loaded and let go at once. Our own verdict is the business of the verifier.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from anybpf.cli.output import paint
from anybpf.errors import AnyBPFError, VerifierError

if TYPE_CHECKING:
    from anybpf.objects import CollectionSpec, ProgramSpec

PASS = "pass"
FAIL = "fail"
UNKNOWN = "unknown"
# BPF_LOG_LEVEL1 of the kernel's verifier: the steps of the path that it is on.
_STEPS = 1


class Judgement:
    """One answer: "pass", "fail", or "unknown" if the program never came before the verifier."""

    def __init__(self, verdict: str, reason: str, log: str, processed: int) -> None:
        self.verdict = verdict
        self.reason = reason
        self.log = log
        self.processed = processed

    def as_json(self) -> dict[str, Any]:
        return {
            "release": os.uname().release,
            "verdict": self.verdict,
            "reason": self.reason,
            "processed": self.processed,
            "log": self.log,
        }

    def lines(self, *, whole: bool) -> list[str]:
        """For people; the log where it was refused, or if ``whole``."""
        style = {PASS: "green", FAIL: "red"}.get(self.verdict, "yellow")
        count = f", {self.processed} instructions processed" if self.processed else ""
        why = f": {self.reason}" if self.reason else ""
        head = f"  kernel {os.uname().release}: {paint(self.verdict, style)}{why}{count}"
        shown = self.log.splitlines() if whole or self.verdict == FAIL else []
        return [head, *(f"    {line}".rstrip() for line in shown)]


class Kernel:
    """The kernel, as a judge. :class:`NotSupported` where bpf(2) is refused."""

    def __init__(self) -> None:
        from anybpf.backends import backend

        self._backend = backend("linux")

    def judge(self, program: ProgramSpec, spec: CollectionSpec) -> Judgement:
        name = next(key for key, one in spec.programs.items() if one is program)
        try:
            with self._backend.load(spec, programs=[name], log_level=_STEPS) as loaded:
                log = str(getattr(loaded.program(name), "log", ""))
        except VerifierError as error:
            verdict: Any = error.verification
            log = str(getattr(verdict, "log", ""))
            reason = str(getattr(verdict, "reason", error))
            return Judgement(FAIL if log.strip() else UNKNOWN, reason, log, _processed(log))
        except AnyBPFError as error:
            return Judgement(UNKNOWN, str(error), "", 0)
        return Judgement(PASS, "", log, _processed(log))


def _processed(log: str) -> int:
    """How many instructions the kernel's verifier went through, by the last line of its log."""
    words = log[log.rfind("processed ") :].split()
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
