"""`python -m anybpf` is the `anybpf` command."""

from __future__ import annotations

import sys

from anybpf.cli import main

sys.exit(main())
