"""The `anybpf` command.

Each command is a module in `anybpf.cli.commands`, imported only when it is called for; what they
share is in `app` (finding the command, errors, exit codes) and `output` (tables, JSON). Commands
read arguments and print; all work is done in the other rooms.

Exit codes: 0 done, 1 the answer is no, 2 bad usage or bad input (one line on stderr).
"""

from __future__ import annotations

from anybpf.cli.app import main

__all__ = ["main"]
