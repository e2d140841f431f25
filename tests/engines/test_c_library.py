"""Libraries made of emitted C: what is attached, what is refused, and that they go again."""

from __future__ import annotations

import gc
import subprocess
from pathlib import Path

import pytest

from anybpf import _core
from anybpf.engines.c_library import CLibrary
from anybpf.engines.lowering import ALL, MapShape, Source
from anybpf.engines.lowering.c import Unit, print_c
from anybpf.errors import ImageError
from anybpf.isa import encode
from anybpf.isa.assembler import assemble
from anybpf.testing import c_engine
from tests.core.programs import program

pytestmark = pytest.mark.skipif(
    not c_engine.compilers() or not _core.MACHINE, reason="there is no C compiler here"
)
ONE = Source("one", encode(assemble("r0 = 1\nexit")))
TWO = Source("two", encode(assemble("r0 = 2\nexit")))
COUNT = Source(
    "count",
    encode(assemble("r1 = 0 ll\nr0 = *(u64 *)(r1 + 0)\nr0 += 1\n*(u64 *)(r1 + 0) = r0\nexit")),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three programs as a library."""
    folder = tmp_path_factory.mktemp("library")
    source = folder / "programs.c"
    raw = bytearray(COUNT.code)
    raw[1] |= 2 << 4  # the value of map 0
    counting = Source("count", bytes(raw))
    counting.maps = [MapShape("counts", "array", 4, 8, 1, True)]
    units = [Unit(one) for one in (ONE, TWO, counting)]
    source.write_text(print_c(units, _core.LAYOUT, _core.NATIVE_ABI))
    c_engine.make(source, folder / "programs.so")
    return folder / "programs.so"


def counting() -> tuple[_core.Program, _core.Map, Source]:
    raw = bytearray(COUNT.code)
    raw[1] |= 2 << 4
    source = Source("count", bytes(raw))
    source.maps = [MapShape("counts", "array", 4, 8, 1, True)]
    domain = _core.Domain(1)
    store = _core.Map(domain, 1 << 30, "array", 4, 8, 1)
    return program(source.code, domain=domain, maps=[store]), store, source


def test_programs_run(place: Path) -> None:
    library = CLibrary(place)
    assert list(library.programs) == ["one", "two", "count"]
    for source, result in ((ONE, 1), (TWO, 2)):
        made = program(source.code)
        library.attach(made, source)
        assert made.compiled
        assert made() == result
        made.detach_code()
        assert made() == result


def test_each_library_opened_has_addresses_of_its_own(place: Path) -> None:
    """Two collections of the same programs have two sets of maps."""
    both = [(CLibrary(place), *counting()) for _ in range(2)]
    for library, made, _, source in both:
        library.attach(made, source)
    assert [made() for _, made, _, _ in both] == [1, 1]
    assert both[1][1]() == 2
    stores = [store[bytes(4)] for _, _, store, _ in both]
    assert [int.from_bytes(one, "little") for one in stores] == [1, 2]


def test_what_was_made_of_something_else_is_refused(place: Path) -> None:
    library = CLibrary(place)
    other = Source("one", TWO.code)
    with pytest.raises(ImageError, match="program one was made of other code"):
        library.attach(program(other.code), other)
    with pytest.raises(ImageError, match="was made of other code"):
        library.attach(program(ONE.code), ONE, ALL)
    made, _, source = counting()
    source.maps[0].max_entries = 2
    with pytest.raises(ImageError, match="other maps: emit the C again"):
        library.attach(made, source)
    with pytest.raises(ImageError, match="no program three; there are: one, two, count"):
        library.attach(program(ONE.code), Source("three", ONE.code))
    assert not made.compiled


def test_a_program_is_attached_once(place: Path) -> None:
    library = CLibrary(place)
    library.attach(program(ONE.code), ONE)
    with pytest.raises(ImageError, match="in use: open the library again"):
        library.attach(program(ONE.code), ONE)


def test_what_is_missing_is_named(place: Path) -> None:
    """A program without the map that its code is to find."""
    _, _, source = counting()
    made = program(ONE.code)
    with pytest.raises(ImageError, match="refers to anybpf_values_0, which is not there"):
        CLibrary(place).attach(made, source)
    assert not made.compiled


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("ABI 2", "ABI 1"), "version 1 of the runtime's interface"),
        (("'C', '1'", "'C', '9'"), "not of a form that this version knows"),
        (("anybpf_image = {", "another = {"), "it has no anybpf_image"),
    ],
)
def test_libraries_of_another_kind(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    text = print_c([Unit(ONE)], _core.LAYOUT, 2)
    if change[0] == "ABI 2" and _core.NATIVE_ABI == 1:
        pytest.skip("this is version 1")
    with pytest.raises(ImageError, match=message):
        c_engine.build(text.replace(*change), flags=["-shared", "-fPIC"])


def test_what_is_no_library(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="cannot be read: No such file"):
        CLibrary(tmp_path / "missing.so")
    (tmp_path / "text.so").write_text("no library")
    with pytest.raises(ImageError, match="the system cannot load it"):
        CLibrary(tmp_path / "text.so")


def mapped() -> int:
    return Path("/proc/self/maps").read_text().count("anybpf-")


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="no way to see mappings")
def test_a_library_is_there_as_long_as_its_programs(place: Path) -> None:
    gc.collect()
    before = mapped()
    made = program(ONE.code)
    CLibrary(place).attach(made, ONE)
    gc.collect()
    assert mapped() > before
    assert made() == 1
    made.close()
    del made
    gc.collect()
    assert mapped() == before


def test_code_that_is_nowhere_is_not_adopted() -> None:
    for address, size in ((0, 1), (4096, 0), (4096, -1), (4096, 1 << 40)):
        with pytest.raises(ValueError, match="no code of"):
            _core.Code.adopt(address, size, None)


def test_the_library_has_nothing_but_its_programs(place: Path) -> None:
    """No symbol of it gets in the way of others, and none is left for the system to find."""
    listing = subprocess.run(
        ["nm", "-D", "--defined-only", str(place)], capture_output=True, text=True, check=False
    )
    if listing.returncode != 0:
        pytest.skip("there is no nm")
    names = {line.split()[-1] for line in listing.stdout.splitlines()}
    assert names - {"_init", "_fini", "__bss_start", "_edata", "_end"} == {
        "anybpf_image", "program_one", "program_two", "program_count",
    }  # fmt: skip
