"""Where a service has its socket, its lock and its state, and that nobody else put them there.

``ANYBPF_SERVICE_DIR`` names the directory; without it, it is in the user's runtime directory, or a
directory of the user's own in /tmp. What is in the files is not this module's business.
"""

from __future__ import annotations

import os
import stat
import sys

from anybpf.errors import InputError, NotSupported

VARIABLE = "ANYBPF_SERVICE_DIR"
# The longest path of a Unix socket: sun_path in unix(7), with its end.
LONGEST = 107


def need_unix() -> None:
    """The service needs sockets that pass memory; on Windows a named pipe is to take their place,
    which is not there yet."""
    if not sys.platform.startswith("linux"):
        raise NotSupported("the service", where=sys.platform, since="a later release")


class Places:
    """The files of one service."""

    __slots__ = ("directory", "lock", "log", "platform", "socket", "state")

    def __init__(self, directory: str = "", platform: str = "linux") -> None:
        need_unix()
        self.directory: str = os.path.abspath(directory or default_directory())
        self.platform: str = platform
        name = os.path.join(self.directory, f"service-{platform}")
        self.socket: str = f"{name}.sock"
        self.lock: str = f"{name}.lock"
        self.log: str = f"{name}.log"
        self.state: str = f"{name}.state"
        if len(os.fsencode(self.socket)) > LONGEST:
            raise InputError(
                f"{self.socket} is too long for a socket ({LONGEST} bytes at most): choose a "
                f"shorter directory with {VARIABLE}"
            )

    def prepare(self, group: int = -1) -> None:
        """Make the directories, for their owner alone, and enterable for a group if one is given.

        Those that are there must be ours: in /tmp anybody could have made them.
        """
        outer = 0o700 if group < 0 else 0o710
        for path, mode in ((self.directory, outer), (self.state, 0o700)):
            os.makedirs(path, mode=0o700, exist_ok=True)
            check_owner(path)
            os.chmod(path, mode)
            if group >= 0 and mode == outer:
                os.chown(path, -1, group)


def default_directory() -> str:
    chosen = os.environ.get(VARIABLE, "")
    if chosen:
        return chosen
    user = os.geteuid()
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and os.path.isdir(runtime) and os.stat(runtime).st_uid == user:
        return os.path.join(runtime, "anybpf")
    if user == 0 and os.path.isdir("/run/anybpf"):
        return "/run/anybpf"
    return f"/tmp/anybpf-{user}"


def check_owner(path: str) -> None:
    """:class:`InputError` unless the directory is our own, no link, and writable for us alone."""
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode):
        raise InputError(f"{path} is no directory: remove it, or set {VARIABLE}")
    if found.st_uid != os.geteuid():
        raise InputError(
            f"{path} belongs to user {found.st_uid}, not to user {os.geteuid()}: "
            f"set {VARIABLE} to a directory of your own"
        )
    if stat.S_IMODE(found.st_mode) & 0o022:
        raise InputError(f"{path} can be written by others: chmod go-w {path}")
