"""A platform in words: as values that JSON can hold, and as lines of text.

Pure functions; the command line prints what they return.
"""

from __future__ import annotations

from anybpf.platforms.calls import Function
from anybpf.platforms.model import (
    Arg,
    Context,
    Field,
    Helper,
    Kfunc,
    MapType,
    ProgramType,
    Return,
)
from anybpf.platforms.platform import Platform

Value = dict[str, object]


def describe(platform: Platform, program_type: str = "") -> Value:
    """What a platform offers; with a program type, what it offers to programs of that type.

    >>> from anybpf.platforms import get
    >>> describe(get("windows"), "bind")["number"]
    2
    """
    if program_type:
        return describe_program_type(platform, platform.program_type(program_type))
    return {
        "platform": platform.name,
        "title": platform.title,
        "program_types": [
            {
                "number": kind.number,
                "name": kind.name,
                "title": kind.title,
                "since": kind.since,
                "guid": kind.guid,
                "context": "" if kind.context is None else kind.context.name,
                "helpers": len(platform.helpers_of(kind.name)),
                "attach_types": list(kind.attach_types),
            }
            for kind in platform.program_types
        ],
        "attach_types": [
            {
                "number": kind.number,
                "name": kind.name,
                "program_types": list(kind.program_types),
                "link_type": kind.link_type,
                "parameter": kind.parameter,
                "since": kind.since,
                "guid": kind.guid,
            }
            for kind in platform.attach_types
        ],
        "link_types": [
            {"number": kind.number, "name": kind.name, "since": kind.since}
            for kind in platform.link_types
        ],
        "map_types": [describe_map_type(platform, kind) for kind in platform.map_types],
        "helpers": [describe_helper(helper) for helper in platform.helpers],
        "kfuncs": [describe_kfunc(kfunc) for kfunc in platform.kfuncs],
        "rules": [
            {"name": name, "allowed": allowed, "text": platform.rule_texts[name]}
            for name, allowed in platform.rules.items()
        ],
        "sections": [
            {
                "name": rule.name,
                "form": rule.form,
                "program_type": rule.program_type,
                "attach_type": rule.attach_type,
                "flags": sorted(rule.flags),
                "legacy": rule.legacy,
            }
            for rule in platform.sections
        ],
        "limits": [
            {"name": name, "value": value, "text": platform.limit_texts[name]}
            for name, value in platform.limits.items()
        ],
        "errnos": [
            {"number": error.number, "name": error.name, "text": error.text}
            for error in platform.errnos
        ],
        "result_codes": [
            {
                "number": code.number,
                "name": code.name,
                "ntstatus": code.ntstatus,
                "win32": code.win32,
                "errno": code.errno,
            }
            for code in platform.result_codes
        ],
        "extensions": platform.extensions,
    }


def describe_program_type(platform: Platform, kind: ProgramType) -> Value:
    """One program type: context, return values, sections, helpers."""
    return {
        "platform": platform.name,
        "number": kind.number,
        "name": kind.name,
        "title": kind.title,
        "since": kind.since,
        "guid": kind.guid,
        "flags": sorted(kind.flags),
        "attach_types": list(kind.attach_types),
        "returns": [
            {"low": rule.low, "high": rule.high, "attach_types": list(rule.attach_types)}
            for rule in kind.returns
        ],
        "return_names": {str(value): name for value, name in kind.return_names},
        "sections": _section_names(platform, kind),
        "context": None if kind.context is None else describe_context(kind.context),
        "helpers": [describe_helper(helper) for helper in platform.helpers_of(kind.name)],
        "kfuncs": [kfunc.name for kfunc in platform.kfuncs_of(kind.name)],
    }


def describe_context(context: Context) -> Value:
    return {
        "name": context.name,
        "size": context.size,
        "layout": context.layout,
        "fields": [
            {
                "name": field.name,
                "offset": field.offset,
                "size": field.size,
                "type": field.type,
                "kind": field.kind,
                "nullable": field.nullable,
                "read_sizes": list(field.read_sizes),
                "write_sizes": list(field.write_sizes),
                "attach_types": list(field.attach_types),
                "write_attach_types": list(field.write_attach_types),
            }
            for field in context.fields
        ],
    }


def describe_helper(helper: Helper) -> Value:
    return {
        "number": helper.number,
        **_function(helper),
        "map_types": list(helper.map_types),
        "program_type": helper.program_type,
    }


def describe_kfunc(kfunc: Kfunc) -> Value:
    return {
        **_function(kfunc),
        "program_types": sorted(kfunc.program_types),
        "attach_types": sorted(kfunc.attach_types),
    }


def _function(function: Function) -> Value:
    returns = function.returns
    return {
        "name": function.name,
        "prototype": prototype(function),
        "args": [
            {
                "name": arg.name,
                "kind": arg.kind,
                "type": arg.type,
                "nullable": arg.nullable,
                "access": arg.access,
                "size": arg.size,
                "size_arg": arg.size_arg,
                "memory_arg": arg.memory_arg,
                "releases": arg.releases,
                "constant": arg.constant,
                "trust": arg.trust,
            }
            for arg in function.args
        ],
        "returns": {
            "kind": returns.kind,
            "type": returns.type,
            "nullable": returns.nullable,
            "acquires": returns.acquires,
            "low": returns.low,
            "high": returns.high,
            "size": returns.size,
            "size_arg": returns.size_arg,
            "trust": returns.trust,
        },
        "flags": sorted(function.flags),
        "since": function.since,
    }


def describe_map_type(platform: Platform, kind: MapType) -> Value:
    return {
        "number": kind.number,
        "name": kind.name,
        "key_size": str(kind.key_size),
        "value_size": str(kind.value_size),
        "entries": str(kind.entries),
        "allowed_flags": list(kind.allowed_flags),
        "required_flags": list(kind.required_flags),
        "operations": sorted(kind.operations),
        "helpers": [platform.helpers.name(number) for number in sorted(kind.helpers)],
        "holds": kind.holds,
        "per_cpu": kind.per_cpu,
        "since": kind.since,
    }


def prototype(helper: Function) -> str:
    """The prototype with kinds: ``bpf_map_lookup_elem(map: map, key: map_key) -> map_value?``."""
    words = ", ".join([f"{arg.name}: {_arg(arg, helper)}" for arg in helper.args])
    if "variadic" in helper.flags:
        words += ", ..."
    return f"{helper.name}({words}) -> {_returns(helper.returns)}"


def _arg(arg: Arg, helper: Function) -> str:
    text = arg.kind
    if arg.type:
        text += f" {arg.type}"
    if arg.size_arg >= 0:
        text += f"[{helper.args[arg.size_arg].name}]"
    elif arg.size:
        text += f"[{arg.size}]"
    if arg.access in ("w", "rw"):
        text += f" ({'written' if arg.access == 'w' else 'read and written'})"
    if arg.nullable:
        text += "?"
    return text + (" (released)" if arg.releases else "")


def _returns(returns: Return) -> str:
    text = returns.kind + (f" {returns.type}" if returns.type else "")
    return text + ("?" if returns.nullable else "") + (" (referenced)" if returns.acquires else "")


def lines(platform: Platform, program_type: str = "") -> list[str]:
    """The same as plain text, one fact a line."""
    if program_type:
        return _program_type_lines(platform, platform.program_type(program_type))
    out = [platform.title, "", "program types"]
    out += _columns(
        [(str(kind.number), kind.name, kind.since, kind.title) for kind in platform.program_types]
    )
    out += ["", "attach types"]
    out += _columns(
        [
            (str(kind.number), kind.name, kind.since, " ".join(kind.program_types))
            for kind in platform.attach_types
        ]
    )
    out += ["", "map types"]
    out += _columns(
        [
            (
                str(kind.number),
                kind.name,
                kind.since,
                f"key {kind.key_size}; value {kind.value_size}; entries {kind.entries}",
            )
            for kind in platform.map_types
        ]
    )
    out += ["", "helpers"]
    out += _columns(
        [(str(helper.number), helper.since, prototype(helper)) for helper in platform.helpers]
    )
    if len(platform.kfuncs):
        out += ["", "kernel functions"]
        out += _columns([(kfunc.since, prototype(kfunc)) for kfunc in platform.kfuncs])
    out += ["", "rules"]
    out += _columns(
        [
            ("yes" if allowed else "no", name, platform.rule_texts[name])
            for name, allowed in platform.rules.items()
        ]
    )
    out += ["", "limits"]
    out += _columns(
        [(name, str(value), platform.limit_texts[name]) for name, value in platform.limits.items()]
    )
    return out


def _program_type_lines(platform: Platform, kind: ProgramType) -> list[str]:
    out = [f"{kind.name}, program type {kind.number} of {platform.title}: {kind.title}"]
    if kind.since:
        # A version of the system, or the extension that brings the type.
        word = "since" if kind.since[0].isdigit() else "from"
        out.append(f"{word:<10}{kind.since}")
    if kind.guid:
        out.append(f"guid      {kind.guid}")
    out.append(f"sections  {' '.join(_section_names(platform, kind)) or '-'}")
    out.append(f"attach    {' '.join(kind.attach_types) or '-'}")
    out.append(f"returns   {_returns_text(kind)}")
    for value, name in kind.return_names:
        out.append(f"          {value} {name}")
    if kind.context is not None:
        out += ["", *_context_lines(kind.context)]
    out += ["", "helpers"]
    out += _columns(
        [
            (str(helper.number), helper.since, prototype(helper))
            for helper in platform.helpers_of(kind.name)
        ]
    )
    kfuncs = platform.kfuncs_of(kind.name)
    if kfuncs:
        out += ["", "kernel functions"]
        out += _columns([(kfunc.since, prototype(kfunc)) for kfunc in kfuncs])
    return out


def _section_names(platform: Platform, kind: ProgramType) -> list[str]:
    """The names of the type's sections, each once, as the table has them."""
    return list(dict.fromkeys(r.name for r in platform.sections if r.program_type == kind.name))


def _returns_text(kind: ProgramType) -> str:
    if not kind.returns:
        return "anything"
    texts = []
    for rule in kind.returns:
        span = str(rule.low) if rule.low == rule.high else f"{rule.low}..{rule.high}"
        where = f" ({' '.join(rule.attach_types)})" if rule.attach_types else ""
        texts.append(span + where)
    return "; ".join(texts)


def _context_lines(context: Context) -> list[str]:
    size = (
        f"{context.size} bytes" if context.layout == "fields" else f"at most {context.size} bytes"
    )
    out = [f"context {context.name}, {size}, {context.layout}"]
    out += _columns(
        [
            (
                str(field.offset),
                str(field.size),
                _rights(field),
                field.name,
                field.type,
                _kind(field),
            )
            for field in context.fields
        ]
    )
    return out


def _rights(field: Field) -> str:
    return f"{'r' if field.read else '-'}{'w' if field.write else '-'}"


def _kind(field: Field) -> str:
    where = f" ({' '.join(field.attach_types)})" if field.attach_types else ""
    return f"{field.kind}{'?' if field.nullable else ''}{where}"


def _columns(rows: list[tuple[str, ...]]) -> list[str]:
    """Rows with their columns aligned, two spaces in."""
    if not rows:
        return ["  none"]
    widths = [max([len(row[column]) for row in rows]) for column in range(len(rows[0]))]
    return [
        "  "
        + "  ".join([cell.ljust(width) for cell, width in zip(row, widths, strict=True)]).rstrip()
        for row in rows
    ]
