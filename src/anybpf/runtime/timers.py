"""The thread that fires the timers that programs set. It starts with the first such program.

What a timer is and which is due is the core's business; here is only who waits for it.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

from anybpf import _core

if TYPE_CHECKING:
    from anybpf.runtime.runtime import Runtime

# How long to wait at most before looking whether the runtime is still there.
TURN = 0.05
# Instructions that one callback may spend: as many as the kernel is willing to verify.
BUDGET = 1_000_000_000


class TimerThread:
    """Fires timers until it is closed, or its runtime is gone."""

    def __init__(self, domain: _core.Domain, runtime: Runtime) -> None:
        self._timers: _core.Timers = _core.Timers(domain)
        self._end: threading.Event = threading.Event()
        # Callbacks that did not end by themselves: the stop, and the exception of a helper.
        self.stops: deque[tuple[Any, BaseException | None]] = deque(maxlen=64)
        self._thread: threading.Thread | None = None
        weakref.finalize(runtime, self._end.set)
        self.start()

    def start(self) -> None:
        """Also in a child process, where the parent's thread is not."""
        self._thread = threading.Thread(
            target=_fire, args=(self._timers, self._end, self.stops), name="anybpf-timers",
            daemon=True,
        )  # fmt: skip
        self._thread.start()

    def close(self) -> None:
        """Returns when no callback runs any more."""
        self._end.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        self._timers.close()


def _fire(
    timers: _core.Timers, end: threading.Event, stops: deque[tuple[Any, BaseException | None]]
) -> None:
    while not end.is_set():
        ticket = timers.ticket
        due = timers.next()
        left = TURN if due is None else min(TURN, (due - time.monotonic_ns()) / 1e9)
        if left > 0:
            timers.wait(ticket, left)
            continue
        try:
            _, stopped = timers.fire(BUDGET)
        except ValueError:  # forked while its parent fired, with no number of its own to be had
            end.wait(TURN)
            continue
        stops.extend(stopped)
