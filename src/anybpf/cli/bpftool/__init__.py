"""`anybpf bpftool …`: the commands of Linux's bpftool, on any back end.

A noun has a module of its name; what they print, in text and in JSON, is what bpftool 7.1 prints.
anybpf's own commands say more: these are for hands and scripts that know bpftool.
"""

from __future__ import annotations

from anybpf.cli.bpftool.dispatch import run

__all__ = ["run"]
