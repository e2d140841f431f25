"""A C header for users of libbpf: an object's bytes, its maps, programs and variables by name.

The names of the type and of its functions are those that bpftool's skeletons have, so that code
written for these compiles with ours: ``NAME__open``, ``NAME__load``, ``NAME__attach`` and so on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anybpf import __version__
from anybpf.btf.names import type_name
from anybpf.cli.bpftool.gen import identifier, map_identifier
from anybpf.cli.bpftool.sections import Field, sections

if TYPE_CHECKING:
    from anybpf.objects.specs import CollectionSpec

_HEAD = """\
/* Written by anybpf @VERSION@ from a BPF object. Do not edit: make it anew. */
#ifndef @GUARD@
#define @GUARD@

#include <errno.h>
#include <stdlib.h>
#include <bpf/libbpf.h>

"""

_LIFE = """\
static inline const void *@N@__elf_bytes(size_t *sz);

static inline void @N@__destroy(struct @N@ *obj)
{
	if (obj)
		bpf_object__destroy_skeleton(obj->skeleton);
	free(obj);
}

/* The object's shape for libbpf, which frees it with the skeleton. */
static inline int @N@__create_skeleton(struct @N@ *obj)
{
	struct bpf_object_skeleton *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->sz = sizeof(*s);
	s->name = "@N@";
	s->obj = &obj->obj;
	s->data = (void *)@N@__elf_bytes(&s->data_sz);
	obj->skeleton = s;
@TABLES@	return 0;
}

static inline struct @N@ *@N@__open_opts(const struct bpf_object_open_opts *opts)
{
	struct @N@ *obj = calloc(1, sizeof(*obj));
	int err = -ENOMEM;

	if (obj)
		err = @N@__create_skeleton(obj);
	if (!err)
		err = bpf_object__open_skeleton(obj->skeleton, opts);
	if (!err)
		return obj;
	@N@__destroy(obj);
	errno = -err;
	return NULL;
}

static inline struct @N@ *@N@__open(void)
{
	return @N@__open_opts(NULL);
}

static inline int @N@__load(struct @N@ *obj)
{
	return bpf_object__load_skeleton(obj->skeleton);
}

static inline struct @N@ *@N@__open_and_load(void)
{
	struct @N@ *obj = @N@__open();
	int err = obj ? @N@__load(obj) : 0;

	if (!err)
		return obj;
	@N@__destroy(obj);
	errno = -err;
	return NULL;
}

static inline int @N@__attach(struct @N@ *obj)
{
	return bpf_object__attach_skeleton(obj->skeleton);
}

static inline void @N@__detach(struct @N@ *obj)
{
	bpf_object__detach_skeleton(obj->skeleton);
}

"""


def text(spec: CollectionSpec, name: str, data: bytes) -> str:
    """The whole header."""
    guard = f"__{name.upper()}_SKEL_H__"
    out = _HEAD.replace("@VERSION@", __version__).replace("@GUARD@", guard)
    fields = sections(spec)
    out += _structure(spec, name, fields)
    out += _LIFE.replace("@TABLES@", _tables(spec, fields)).replace("@N@", name)
    out += _bytes(name, data)
    out += _checks(name, fields)
    return f"{out}#endif /* {guard} */\n"


def _structure(spec: CollectionSpec, name: str, fields: dict[str, list[Field]]) -> str:
    out = [f"struct {name} {{", "\tstruct bpf_object_skeleton *skeleton;"]
    out.append("\tstruct bpf_object *obj;")
    programs = [identifier(one) for one in spec.programs]
    groups = (
        ("bpf_map", "maps", [map_identifier(one) for one in spec.maps]),
        ("bpf_program", "progs", programs),
        ("bpf_link", "links", programs),
    )
    for kind, group, names in groups:
        if names:
            rows = [f"\t\tstruct {kind} *{one};" for one in names]
            out += ["\tstruct {", *rows, f"\t}} {group};"]
    for section, own in fields.items():
        called = map_identifier(section)
        out += [f"\tstruct {name}__{called} {{", *[f"\t\t{_declared(spec, one)};" for one in own]]
        out.append(f"\t}} *{called};")
    return "\n".join([*out, "};", "", ""])


def _declared(spec: CollectionSpec, field: Field) -> str:
    assert spec.btf is not None
    if not field.type_id:
        return f"char {field.name}[{field.size}]"
    return type_name(spec.btf, field.type_id, field.name)


def _tables(spec: CollectionSpec, fields: dict[str, list[Field]]) -> str:
    """The lists of maps and programs."""
    out: list[str] = []
    for kind, struct, count in (
        ("map", "maps", len(spec.maps)),
        ("prog", "progs", len(spec.programs)),
    ):
        if not count:
            continue
        out += [
            f"\ts->{kind}_cnt = {count};",
            f"\ts->{kind}_skel_sz = sizeof(*s->{struct});",
            f"\ts->{struct} = calloc(s->{kind}_cnt, s->{kind}_skel_sz);",
            f"\tif (!s->{struct})",
            "\t\treturn -ENOMEM;",
        ]
        if kind == "map":
            for index, one in enumerate(spec.maps):
                called = map_identifier(one)
                out.append(f'\ts->maps[{index}].name = "{one}";')
                out.append(f"\ts->maps[{index}].map = &obj->maps.{called};")
                if one in fields:
                    out.append(f"\ts->maps[{index}].mmaped = (void **)&obj->{called};")
        else:
            for index, one in enumerate(spec.programs):
                called = identifier(one)
                out.append(f'\ts->progs[{index}].name = "{one}";')
                out.append(f"\ts->progs[{index}].prog = &obj->progs.{called};")
                out.append(f"\ts->progs[{index}].link = &obj->links.{called};")
    return "".join(f"{line}\n" for line in out)


def _bytes(name: str, data: bytes) -> str:
    rows = [
        '\t\t"' + "".join(f"\\x{byte:02x}" for byte in data[at : at + 20]) + '"'
        for at in range(0, len(data), 20)
    ]
    return (
        f"static inline const void *{name}__elf_bytes(size_t *sz)\n{{\n"
        "\tstatic const char data[] __attribute__((aligned(8))) =\n"
        + "\n".join(rows)
        + f";\n\n\t*sz = {len(data)};\n\treturn data;\n}}\n\n"
    )


def _checks(name: str, fields: dict[str, list[Field]]) -> str:
    """That this compiler lays the variables out as the one did that made the object."""
    out = []
    for section, own in fields.items():
        struct = f"struct {name}__{map_identifier(section)}"
        for one in own:
            if one.type_id:
                out.append(
                    f"_Static_assert(sizeof((({struct} *)0)->{one.name}) == {one.size}, "
                    f"\"unexpected size of '{one.name}'\");\n"
                )
    return "".join(out) + ("\n" if out else "")
