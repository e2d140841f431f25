"""`anybpf bpftool btf` and `gen`: types, and what is made of objects."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from pathlib import Path

import pytest

from anybpf.runtime import Runtime
from tests.cli.bpftool.conftest import Tool
from tests.cli.conftest import Cli


def test_types_have_users(loaded: Tool) -> None:
    (record,) = loaded("-j btf show").json
    assert record["kernel"] is False
    assert sorted(record["prog_ids"]) == [one["id"] for one in loaded("-j prog show").json]
    assert len(record["map_ids"]) == 6
    line = loaded(f"btf show id {record['id']}").out
    assert line.startswith(f"{record['id']}: name <anon>  size {record['size']}B  prog_ids ")


def test_types_of_a_map(loaded: Tool) -> None:
    assert loaded("btf dump map name things key").out.startswith("[2] INT 'int' size=4")
    lines = loaded("btf dump map name things kv").out.splitlines()
    assert lines[1].endswith("STRUCT 'thing' size=56 vlen=7")
    assert "struct point p;" in loaded("btf dump map name things value format c").out
    assert loaded("-j btf dump map name things value").json["types"][0]["name"] == "thing"


def test_types_of_a_file_as_our_own_command_has_them(
    tool: Tool, cli: Cli, typed_object: Path
) -> None:
    assert tool(f"btf dump file {typed_object}").out == cli("btf", "dump", typed_object).out


def test_complaints_about_types(loaded: Tool, typed_object: Path) -> None:
    for line, code, said in (
        ("btf show id 99", 255, "can't get BTF object by id (99): No such file or directory"),
        ("btf show x", 255, "what is 'x'?"),
        (f"btf dump file {typed_object} foo", 234, "unrecognized option: 'foo'"),
        ("btf dump file /none", 254, "failed to load BTF from /none: No such file or directory"),
    ):
        result = loaded(line)
        assert (result.code, result.err) == (code, f"Error: {said}\n")
    assert loaded(f"-j btf dump file {typed_object} format c").code == 161


def test_a_python_skeleton_runs(tool: Tool, typed_object: Path, tmp_path: Path) -> None:
    file = tmp_path / "typed_skeleton.py"
    file.write_text(tool(f"gen skeleton {typed_object} name typed language python").out)
    spec = importlib.util.spec_from_file_location("typed_skeleton", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with Runtime("linux") as runtime, module.typed(runtime) as skeleton:
        skeleton.load()
        assert skeleton.variables.total == 5
        skeleton.variables.total = 6
        assert skeleton.variables.total == 6
        assert skeleton.programs.second.test_run(bytes(64)).retval == 2
        assert len(skeleton.maps.counts) == 2


def test_a_c_skeleton_has_the_names_that_libbpf_users_know(tool: Tool, typed_object: Path) -> None:
    text = tool(f"gen skeleton {typed_object}").out
    for word in (
        "struct typed_bpf {",
        "\t\tstruct bpf_map *things;",
        "\t\tstruct bpf_program *first;",
        "\t\tstruct bpf_link *first;",
        "typed_bpf__open_opts(",
        "typed_bpf__open_and_load(void)",
        "typed_bpf__attach(",
        "typed_bpf__destroy(",
        "\tstruct typed_bpf__data {\n\t\tint total;\n\t\tchar text[8];\n\t} *data;",
        f"*sz = {typed_object.stat().st_size};",
    ):
        assert word in text


def test_a_c_skeleton_compiles(tool: Tool, typed_object: Path, tmp_path: Path) -> None:
    """Against declarations of what it uses of libbpf, which may not be installed."""
    header = tmp_path / "typed.skel.h"
    header.write_text(tool(f"gen skeleton {typed_object}").out)
    stand_in = tmp_path / "bpf" / "libbpf.h"
    stand_in.parent.mkdir()
    stand_in.write_text(
        "#include <stddef.h>\n"
        "struct bpf_object; struct bpf_object_open_opts;\n"
        "struct bpf_map_skeleton { const char *name; struct bpf_map **map; void **mmaped; };\n"
        "struct bpf_prog_skeleton { const char *name; struct bpf_program **prog;\n"
        "  struct bpf_link **link; };\n"
        "struct bpf_object_skeleton { size_t sz; const char *name; const void *data;\n"
        "  size_t data_sz; struct bpf_object **obj; int map_cnt; int map_skel_sz;\n"
        "  struct bpf_map_skeleton *maps; int prog_cnt; int prog_skel_sz;\n"
        "  struct bpf_prog_skeleton *progs; };\n"
        "int bpf_object__open_skeleton(struct bpf_object_skeleton *,\n"
        "  const struct bpf_object_open_opts *);\n"
        "int bpf_object__load_skeleton(struct bpf_object_skeleton *);\n"
        "int bpf_object__attach_skeleton(struct bpf_object_skeleton *);\n"
        "void bpf_object__detach_skeleton(struct bpf_object_skeleton *);\n"
        "void bpf_object__destroy_skeleton(struct bpf_object_skeleton *);\n"
    )
    source = tmp_path / "use.c"
    source.write_text(
        '#include "typed.skel.h"\n'
        "int use(void)\n{\n\tstruct typed_bpf *obj = typed_bpf__open_and_load();\n"
        "\tint total = obj ? obj->data->total : 0;\n\n"
        "\tif (obj && !typed_bpf__attach(obj))\n\t\ttyped_bpf__detach(obj);\n"
        "\ttyped_bpf__destroy(obj);\n\treturn total;\n}\n"
    )
    cc = os.environ.get("CC", "cc")
    try:
        done = subprocess.run(
            [cc, "-Wall", "-Werror", "-fsyntax-only", f"-I{tmp_path}", str(source)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        pytest.skip(f"no C compiler here: {cc}")
    assert done.stderr == ""


def test_objects_of_several(tool: Tool, typed_object: Path, tmp_path: Path) -> None:
    output = tmp_path / "whole.o"
    assert tool(f"gen object {output} {typed_object}").code == 0
    assert tool(f"prog loadall {output} /w").code == 0


def test_complaints_about_files(tool: Tool) -> None:
    result = tool("gen skeleton /none")
    assert (result.code, result.err) == (
        255,
        "Error: failed to stat() /none: No such file or directory\n",
    )
    result = tool("gen skeleton")
    assert result.code == 255
    assert result.err.startswith("Error: 'skeleton' needs at least 1 arguments, 0 found\nUsage: ")
