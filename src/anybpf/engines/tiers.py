"""When programs are compiled: at once, or once they have run a while, beside those who run them.

A program that is hot is put into a queue; one thread takes it out, compiles it and attaches the
code. Whoever runs the program in the meantime interprets it, and never waits. The thread is there
as long as there is something to do, and for a little while after. What compiles is imported then.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import weakref
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from anybpf import _core
from anybpf.errors import AnyBPFError

if TYPE_CHECKING:
    from anybpf.engines.cache import Cache
    from anybpf.engines.lowering import Source

# Seconds that the thread waits for more before it ends.
_PATIENCE: Final = 1.0


class Job:
    """A program that may become hot. ``problem`` says why it is not compiled, or is ""."""

    __slots__ = ("__weakref__", "done", "make_source", "problem", "program")

    def __init__(self, program: _core.Program, make_source: Callable[[], Source]) -> None:
        self.program: weakref.ref[_core.Program] = weakref.ref(program)
        self.make_source: Callable[[], Source] = make_source
        self.problem: str = ""
        self.done: threading.Event = threading.Event()

    def run(self, cache: Cache) -> None:
        """Compile it, if it is still there. What goes wrong is kept: it runs on, interpreted."""
        from anybpf.engines import jit

        program = self.program()
        try:
            if program is None or program.closed:
                return
            data = jit.compile_object(self.make_source(), cache=cache)
            with contextlib.suppress(ValueError):  # closed while it was compiled
                jit.attach(program, data)
        except AnyBPFError as error:
            self.problem = str(error)
        finally:
            self.done.set()


class Compiler:
    """The queue and its thread; one for the process does, see :func:`compiler`."""

    def __init__(self) -> None:
        self._cache: Cache | None = None
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._lock: threading.Lock = threading.Lock()
        # Held while LLVM is at work, whose own locks must not be held when the process forks.
        self.busy: threading.Lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._ended: bool = False

    @property
    def cache(self) -> Cache:
        if self._cache is None:
            from anybpf.engines.cache import Cache

            self._cache = Cache()
        return self._cache

    def compile_now(self, program: _core.Program, source: Source) -> None:
        """Compile and attach, in this thread."""
        from anybpf.engines import jit

        with self.busy:
            data = jit.compile_object(source, cache=self.cache)
        jit.attach(program, data)

    def watch(self, program: _core.Program, make_source: Callable[[], Source]) -> Job:
        """Compile it as soon as it has run for a while. Without llvmlite it is never compiled."""
        job = Job(program, make_source)
        program.on_hot = lambda: self.submit(job)
        return job

    def submit(self, job: Job) -> None:
        """Compile it soon."""
        self._queue.put(job)
        with self._lock:
            if self._thread is None and not self._ended:
                self._thread = threading.Thread(
                    target=self._work, name="anybpf compiler", daemon=True
                )
                self._thread.start()

    def _work(self) -> None:
        try:
            self._work_off()
        except BaseException:  # a mistake of ours: told by the thread's end, and the next job waits
            with self._lock:
                self._thread = None
            raise

    def _work_off(self) -> None:
        while True:
            try:
                job = self._queue.get(timeout=_PATIENCE)
            except Empty:
                with self._lock:
                    if self._queue.empty():
                        self._thread = None
                        return
                continue
            if job is None:
                return
            with self.busy:
                job.run(self.cache)

    def end(self) -> None:
        """At exit: nothing more is begun, and what was begun is waited for."""
        with self._lock:
            self._ended = True
            thread = self._thread
        if thread is not None:
            self._queue.put(None)
            thread.join()


_compiler: Compiler | None = None
_making: threading.Lock = threading.Lock()


def compiler() -> Compiler:
    """The compiler of this process; after a fork the child has one of its own."""
    global _compiler
    with _making:
        if _compiler is None:
            _compiler = Compiler()
            atexit.register(_compiler.end)
        return _compiler


def _before_fork() -> None:
    if _compiler is not None:
        _compiler.busy.acquire()


def _in_parent() -> None:
    if _compiler is not None:
        _compiler.busy.release()


def _in_child() -> None:
    """The thread did not come along, nor is what waits for it any business of the child's."""
    global _compiler, _making
    _making = threading.Lock()
    if _compiler is not None:
        atexit.unregister(_compiler.end)
        _compiler = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_in_child)
