"""`anybpf cache`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from anybpf.engines.cache import SUFFIX, Cache, key
from tests.cli.conftest import Cli


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    monkeypatch.setenv("ANYBPF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ANYBPF_CACHE_SIZE", "1M")
    return Cache()


def test_show_says_where_it_is_and_what_is_in_it(cli: Cli, cache: Cache) -> None:
    assert cli("cache", "show").out == f"{cache.directory}: 0 objects, 0 bytes of 1 MiB\n"
    cache.put(key(1), bytes(5000))
    cache.put(key(2), bytes(100))
    shown = cli("cache", "show")
    assert shown.code == 0
    assert shown.out.startswith(f"{cache.directory}: 2 objects, 5.2 KiB of 1 MiB\n\nkey ")
    assert f"\n{key(1).hex()[:16]}   5096  " in shown.out
    told = cli("cache", "show", "--json").json
    assert (told["bytes"], told["limit"], told["damaged"]) == (5292, 1 << 20, 0)
    assert sorted(each["bytes"] for each in told["objects"]) == [196, 5096]
    assert {each["key"] for each in told["objects"]} == {key(1).hex(), key(2).hex()}


def test_show_finds_damage(cli: Cli, cache: Cache) -> None:
    cache.put(key(1), bytes(5000))
    path = Path(cache.directory) / (key(1).hex() + SUFFIX)
    path.write_bytes(path.read_bytes()[:-1])
    shown = cli("cache", "show").out
    assert "1 damaged" in shown.splitlines()[0]
    assert "4999 bytes where 5000 were written" in shown


def test_clear_removes_all(cli: Cli, cache: Cache) -> None:
    cache.put(key(1), bytes(5000))
    assert cli("cache", "clear").out == f"{cache.directory}: removed 1 object, 5 KiB\n"
    told = cli("cache", "clear", "--json").json
    assert told == {"directory": cache.directory, "problem": "", "objects": 0, "bytes": 0}


@pytest.mark.skipif(sys.platform == "win32", reason="rights are access lists on Windows")
def test_a_cache_that_is_not_trusted_says_why(cli: Cli, cache: Cache) -> None:
    Path(cache.directory).mkdir()
    Path(cache.directory).chmod(0o777)
    for command in ("show", "clear"):
        out = cli("cache", command).out
        assert "not used, because others may write to it (mode 777)" in out
    assert "others may write" in cli("cache", "show", "--json").json["problem"]


def test_no_cache_at_all(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYBPF_CACHE", "")
    told = cli("cache", "show").out
    assert told == "no directory: not used, because there is no directory for it\n"
