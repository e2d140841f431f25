"""What happens to a service, as lines of JSON: one object a line, with time and event."""

from __future__ import annotations

import json
import os
import threading
import time


class Journal:
    """Writes events to a file (none if its name is empty), which is begun anew when it is large."""

    def __init__(self, path: str, most: int = 8 << 20) -> None:
        self.path: str = path
        self.most: int = most
        self._lock = threading.Lock()
        self._recent: dict[str, list[float]] = {}

    def tell(self, event: str, **fields: object) -> None:
        """One event. The same event is written at most 100 times a minute."""
        if not self.path:
            return
        now = time.time()
        with self._lock:
            window = self._recent.setdefault(event, [now, 0])
            if now - window[0] > 60:
                window[:] = [now, 0]
            window[1] += 1
            if window[1] > 100:
                return
            line = json.dumps({"time": round(now, 6), "event": event, **fields}, default=str)
            self._write(line)

    def _write(self, line: str) -> None:
        try:
            if os.path.getsize(self.path) > self.most:
                os.replace(self.path, f"{self.path}.1")
        except FileNotFoundError:
            pass
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, line.encode() + b"\n")
        finally:
            os.close(fd)
