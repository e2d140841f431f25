"""Writes `bpf_helper_defs.h`: a declaration for every helper of Linux, by number.

The facts come from the kernel's UAPI header `linux/bpf.h`: numbers from its list of helpers,
signatures from the declarations in its comment. Run it when the kernel has new helpers:

    python -m anybpf.toolchain.helper_header /usr/include/linux/bpf.h > bpf_helper_defs.h
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from anybpf.errors import InputError

_NUMBER = re.compile(r"^\tFN\((\w+), (\d+), ##ctx\)", re.MULTILINE)
_DECLARATION = re.compile(r"^ \* ([a-z][\w ]*?[ *]+)(bpf_\w+)\(([^()]*)\)$", re.MULTILINE)

# Programs see the kernel's objects by their public faces, and maps as the variables they define.
_FACES = {
    "struct bpf_map": "void",
    "struct sk_buff": "struct __sk_buff",
    "struct sk_msg_buff": "struct sk_msg_md",
    "struct xdp_buff": "struct xdp_md",
}
# Plain C types, so that the header needs no other one before it.
_PLAIN = {
    "u8": "unsigned char",
    "u16": "unsigned short",
    "u32": "unsigned int",
    "u64": "unsigned long long",
    "s32": "int",
    "s64": "long long",
    "size_t": "unsigned long",
    "__be16": "unsigned short",
    "__be32": "unsigned int",
    "__wsum": "unsigned int",
}
_WIDTH = 96

_HEAD = """\
/* SPDX-License-Identifier: MIT */
/*
 * The helpers of Linux, as the kernel's UAPI header <linux/bpf.h> numbers and declares them.
 * Made by anybpf.toolchain.helper_header; do not edit. A helper that takes several kinds of
 * object in one place takes a `void *` there.
 */
#ifndef ANYBPF_BPF_HELPER_DEFS_H
#define ANYBPF_BPF_HELPER_DEFS_H

"""
_TAIL = "\n#endif /* ANYBPF_BPF_HELPER_DEFS_H */\n"


def helper_header(uapi: str) -> str:
    """The text of the header, made from that of `linux/bpf.h`."""
    numbers = {f"bpf_{name}": int(number) for name, number in _NUMBER.findall(uapi)}
    numbers.pop("bpf_unspec", None)
    signatures = _signatures(uapi)
    missing = sorted(set(numbers) - set(signatures))
    if not numbers or missing:
        raise InputError(
            "this is no linux/bpf.h of Linux 6.1 or newer: "
            + (f"no declaration of {', '.join(missing)}" if numbers else "it lists no helpers")
        )
    rows = []
    structs: set[str] = set()
    for name, number in sorted(numbers.items(), key=lambda item: item[1]):
        returns, parameters = signatures[name]
        structs.update(re.findall(r"struct \w+", " ".join([returns, *parameters])))
        rows.append(_row(name, number, returns, parameters))
    forward = "".join(f"{struct};\n" for struct in sorted(structs))
    return f"{_HEAD}{forward}\n{''.join(rows)}{_TAIL}"


def _signatures(uapi: str) -> dict[str, tuple[str, list[str]]]:
    """Per helper what it returns and takes; where it is declared twice, what both allow."""
    found: dict[str, tuple[str, list[str]]] = {}
    for returns, name, arguments in _DECLARATION.findall(uapi):
        parameters = [_plain(argument) for argument in arguments.split(", ")]
        known = found.get(name)
        if known is not None:
            pairs = zip(known[1], parameters, strict=True)
            parameters = [one if one == other else _any(one) for one, other in pairs]
        found[name] = (_plain(returns.strip()), parameters)
    return found


def _plain(text: str) -> str:
    for kernel, face in _FACES.items():
        text = re.sub(rf"{kernel}\b", face, text)
    return re.sub(r"\b\w+\b", lambda word: _PLAIN.get(word[0], word[0]), text)


def _any(parameter: str) -> str:
    return "void *" + parameter.rpartition("*")[2]


def _row(name: str, number: int, returns: str, parameters: list[str]) -> str:
    space = "" if returns.endswith("*") else " "
    head = f"static {returns}{space}(*const {name})("
    tail = f") = (void *){number};\n"
    row = head + ", ".join(parameters) + tail
    if len(row) <= _WIDTH:
        return row
    lines = []
    line = "\t"
    for index, parameter in enumerate(parameters):
        piece = parameter + (", " if index + 1 < len(parameters) else tail.rstrip("\n"))
        if len(line.expandtabs(8)) + len(piece.rstrip()) > _WIDTH:
            lines.append(line.rstrip())
            line = "\t"
        line += piece
    return "\n".join([head, *lines, line]) + "\n"


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m anybpf.toolchain.helper_header LINUX_BPF_H", file=sys.stderr)
        return 2
    sys.stdout.write(helper_header(Path(arguments[0]).read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
