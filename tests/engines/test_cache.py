"""The cache of compiled objects: what is kept, what is not trusted, and that nothing breaks."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from anybpf.engines import cache as module
from anybpf.engines.cache import MAGIC, SUFFIX, Cache, default_directory, default_limit, key

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="rights are access lists on Windows")
NAME = key("a program", 1)
OTHER = key("a program", 2)
DATA = b"machine code" * 100


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(str(tmp_path / "cache"))


def path_of(cache: Cache, name: bytes = NAME) -> Path:
    return Path(cache.directory) / (name.hex() + SUFFIX)


def filled(cache: Cache) -> Path:
    assert cache.put(NAME, DATA)
    return path_of(cache)


def test_what_is_put_is_there_for_others(cache: Cache) -> None:
    assert cache.get(NAME) is None
    assert cache.put(NAME, DATA)
    assert cache.get(NAME) == DATA
    another = Cache(cache.directory)
    assert another.get(NAME) == DATA
    assert another.get(OTHER) is None
    assert (another.hits, another.misses, another.damaged) == (1, 1, 0)
    assert another.put(NAME, b"newer")
    assert cache.get(NAME) == b"newer"


def test_keys_differ_by_every_part_and_by_where_parts_end() -> None:
    parts: list[tuple[bytes | str | int, ...]] = [
        ("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), (b"abc",), ("1",), (1,), (b"1",), (),
    ]  # fmt: skip
    assert len({key(*each) for each in parts}) == len(parts)
    assert key("ab", 1) == key("ab", 1)


def test_where_it_is_and_how_large_it_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYBPF_CACHE", "/somewhere")
    assert default_directory() == "/somewhere"
    monkeypatch.setenv("ANYBPF_CACHE", "")
    assert Cache().problem == "there is no directory for it"
    monkeypatch.delenv("ANYBPF_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert Path(default_directory()) == Path("/caches/anybpf")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert Path(default_directory()) == Path("/home/me/.cache/anybpf")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert Path(default_directory()) == Path("/home/me/Library/Caches/anybpf")
    for text, size in (("1000", 1000), ("2k", 2048), ("3M", 3 << 20), ("1GiB", 1 << 30)):
        monkeypatch.setenv("ANYBPF_CACHE_SIZE", text)
        assert default_limit() == size
    for text in ("", "many", "-1", "1.5G", "\u0663"):
        monkeypatch.setenv("ANYBPF_CACHE_SIZE", text)
        assert default_limit() == 256 << 20


def test_without_room_or_place_it_does_nothing(tmp_path: Path) -> None:
    for cache in (Cache("", 100), Cache(str(tmp_path / "x"), 0)):
        assert not cache.is_used
        assert not cache.put(NAME, DATA)
        assert cache.get(NAME) is None
        assert cache.entries() == []
        assert cache.clear() == (0, 0)
    assert not (tmp_path / "x").exists()


# Damage.


def change(path: Path, at: int, byte: int | None = None) -> None:
    data = bytearray(path.read_bytes())
    data[at] = data[at] ^ 0xFF if byte is None else byte
    path.write_bytes(data)


@pytest.mark.parametrize("at", [0, 15, 16, 24, 40, 56, 60, 64, 80, 95, 96, 500, -1])
def test_a_damaged_object_is_removed_and_counted(cache: Cache, at: int) -> None:
    path = filled(cache)
    change(path, at)
    assert cache.get(NAME) is None
    assert cache.damaged == 1
    assert not path.exists()
    assert cache.put(NAME, DATA)
    assert cache.get(NAME) == DATA


@pytest.mark.parametrize("size", [0, 1, 50, 96, 1000, 1200 + 95])
def test_a_shortened_object_is_removed(cache: Cache, size: int) -> None:
    path = filled(cache)
    path.write_bytes(path.read_bytes()[:size])
    assert cache.get(NAME) is None
    assert not path.exists()


def test_an_object_under_another_name_is_not_taken(cache: Cache) -> None:
    os.rename(filled(cache), path_of(cache, OTHER))
    assert cache.get(OTHER) is None
    assert cache.damaged == 1


def test_no_damage_gets_through(cache: Cache) -> None:
    """Each bit of the header, one after the other."""
    path = filled(cache)
    whole = path.read_bytes()
    for bit in range(8 * 96):
        if 20 <= bit // 8 < 24:  # room for flags
            continue
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        path.chmod(0o600)
        assert cache.get(NAME) is None, f"bit {bit}"


# Whom to trust.


@POSIX
def test_it_is_made_for_its_owner_alone(cache: Cache) -> None:
    path = filled(cache)
    assert stat.S_IMODE(os.stat(cache.directory).st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@POSIX
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o1777])
def test_a_directory_that_others_write_to_is_not_used(tmp_path: Path, mode: int) -> None:
    place = tmp_path / "cache"
    assert Cache(str(place)).put(NAME, DATA)
    place.chmod(mode)
    cache = Cache(str(place))
    assert cache.get(NAME) is None
    assert "others may write to it" in cache.problem
    assert not cache.put(OTHER, DATA)
    assert cache.entries() == []
    assert cache.clear() == (0, 0)
    place.chmod(0o700)


@POSIX
def test_a_directory_of_somebody_else_is_not_used(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(cache)
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    another = Cache(cache.directory)
    assert another.get(NAME) is None
    assert another.problem == f"it belongs to user {user}, and this process is user {user + 1}"
    assert not another.put(NAME, DATA)


@POSIX
def test_an_object_that_somebody_else_wrote_or_may_write_is_not_used(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = filled(cache)
    path.chmod(0o620)
    assert cache.get(NAME) is None
    assert [entry.problem for entry in cache.entries(check=True)] == [
        "somebody else may have written it"
    ]
    path.chmod(0o600)
    assert cache.get(NAME) == DATA
    real = os.fstat
    monkeypatch.setattr(
        os,
        "fstat",
        lambda handle: os.stat_result([*real(handle)[:4], os.geteuid() + 1, *real(handle)[5:]]),
    )
    assert cache.get(NAME) is None


@POSIX
def test_links_are_not_followed(cache: Cache, tmp_path: Path) -> None:
    path = filled(cache)
    moved = tmp_path / "moved"
    path.rename(moved)
    path.symlink_to(moved)
    assert cache.get(NAME) is None
    directory = tmp_path / "link"
    directory.symlink_to(cache.directory, target_is_directory=True)
    through = Cache(str(directory))
    assert through.get(NAME) is None
    assert through.problem == "it is no directory"


@POSIX
def test_it_is_not_made_where_others_could_exchange_it(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    cache = Cache(str(shared / "cache"))
    assert not cache.put(NAME, DATA)
    assert "others may write to what it lies in" in cache.problem
    assert not (shared / "cache").exists()
    shared.chmod(0o1777)  # as /tmp: nobody moves what is another's
    assert Cache(str(shared / "cache")).put(NAME, DATA)


@POSIX
@pytest.mark.parametrize("what", ["a pipe", "a directory"])
def test_what_is_no_file_is_not_read(cache: Cache, what: str) -> None:
    path = filled(cache)
    path.unlink()
    if what == "a pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    assert cache.get(NAME) is None


# What may go wrong.


def test_a_file_in_place_of_the_directory(tmp_path: Path) -> None:
    place = tmp_path / "cache"
    place.write_text("something")
    cache = Cache(str(place))
    assert cache.get(NAME) is None
    assert not cache.put(NAME, DATA)
    assert cache.problem == "it is no directory"
    below = Cache(str(place / "cache"))
    assert not below.put(NAME, DATA)
    assert below.problem


def test_a_full_disk_leaves_nothing_behind(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    wrote: list[int] = []

    def write(handle: int, data: bytes) -> int:
        if wrote:
            raise OSError(28, "No space left on device")
        wrote.append(real(handle, data[:10]))
        return wrote[0]

    monkeypatch.setattr(os, "write", write)
    assert not cache.put(NAME, DATA)
    assert wrote == [10]
    assert os.listdir(cache.directory) == []
    assert cache.get(NAME) is None


def test_short_writes_and_reads_go_on(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    write, read = os.write, os.read
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:100]))
    monkeypatch.setattr(os, "read", lambda handle, size: read(handle, min(size, 100)))
    assert cache.put(NAME, DATA)
    assert cache.get(NAME) == DATA


def test_an_object_beyond_all_measure_is_not_kept(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path / "cache"), limit=1000)
    assert not cache.put(NAME, bytes(1000))
    assert cache.put(NAME, bytes(900))


# Room.


def test_those_used_longest_ago_go_first(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path / "cache"), limit=10 * 1096)
    names = [key("program", number) for number in range(12)]
    for age, name in enumerate(names[:10]):
        assert cache.put(name, bytes(1000))
        os.utime(path_of(cache, name), (10_000 + age, 10_000 + age))
    assert cache.get(names[0]) is not None  # used now
    assert cache.put(names[10], bytes(1000))
    left = {entry.key for entry in cache.entries()}
    assert left == {name.hex() for name in [names[0], *names[4:11]]}
    assert cache.evicted == 3
    assert sum(entry.size for entry in cache.entries()) <= 0.8 * cache.limit


def test_uses_are_noted_by_the_minute(cache: Cache) -> None:
    path = filled(cache)
    for age, changes in ((10, False), (100, True)):
        then = time.time() - age
        os.utime(path, (then, then))
        assert cache.get(NAME) == DATA
        assert (path.stat().st_mtime > then + 1) == changes


def test_what_dead_writers_left_is_removed(cache: Cache) -> None:
    filled(cache)
    old, young = Path(cache.directory) / ".a.new", Path(cache.directory) / ".b.new"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    again = Cache(cache.directory)
    assert again.put(OTHER, DATA)
    assert not old.exists()
    assert young.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="files in use are not removed on Windows")
def test_eviction_waits_for_nobody(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path / "cache"), limit=3000)
    assert cache.put(NAME, bytes(1000))
    with module._Locked(cache.directory, wait=True) as locked:
        assert locked
        for number in range(5):
            assert cache.put(key(number), bytes(1000))
        assert cache.evicted == 0
    assert cache.put(key("one more"), bytes(1000))
    assert cache.evicted > 0


def test_many_at_once(tmp_path: Path) -> None:
    directory = str(tmp_path / "cache")
    wrong: list[object] = []

    def work(seed: int) -> None:
        cache = Cache(directory, limit=20_000)
        for turn in range(60):
            number = (turn * 7 + seed) % 20
            name, data = key(number), bytes([number]) * 1500
            found = cache.get(name)
            if found is None:
                cache.put(name, data)
            elif found != data:
                wrong.append(number)
        if cache.damaged:
            wrong.append("damaged")

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert not [name for name in os.listdir(directory) if name.endswith(".new")]
    # Each writer knows what it wrote itself; whoever comes next looks at the whole.
    last = Cache(directory, limit=20_000)
    assert last.put(NAME, DATA)
    assert sum(entry.size for entry in last.entries()) <= last.limit


def test_killed_writers_leave_no_half_objects(tmp_path: Path) -> None:
    directory = str(tmp_path / "cache")
    code = (
        "import sys; from anybpf.engines.cache import Cache, key\n"
        "cache = Cache(sys.argv[1], limit=400_000); print('ready', flush=True)\n"
        "for turn in range(10**9): cache.put(key(turn % 50), bytes([turn % 50]) * 20_000)\n"
    )
    for turn in range(8):
        writer = subprocess.Popen(
            [sys.executable, "-c", code, directory], stdout=subprocess.PIPE, text=True
        )
        with writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            time.sleep(0.02 + 0.005 * turn)
            writer.kill()
    cache = Cache(directory, limit=400_000)
    assert cache.entries()
    assert not [entry for entry in cache.entries(check=True) if entry.problem]
    assert cache.put(NAME, DATA)  # the lock of whoever was killed is nobody's
    assert sum(entry.size for entry in cache.entries()) <= cache.limit


def test_clearing_removes_objects_and_nothing_else(cache: Cache) -> None:
    filled(cache)
    keepsake = Path(cache.directory) / "notes.txt"
    keepsake.write_text("mine")
    assert cache.put(OTHER, b"")
    assert cache.clear() == (2, 96 + 1200 + 96)
    assert cache.get(NAME) is None
    assert keepsake.read_text() == "mine"


def test_listing_says_what_is_wrong_with_each(cache: Cache) -> None:
    filled(cache)
    assert cache.put(OTHER, DATA)
    change(path_of(cache, OTHER), 300)
    (Path(cache.directory) / f"readme{SUFFIX}").write_bytes(MAGIC)
    problems = {entry.key: entry.problem for entry in cache.entries(check=True)}
    assert problems == {
        NAME.hex(): "",
        OTHER.hex(): "its checksum is another",
        "readme": "its name is no key",
    }
