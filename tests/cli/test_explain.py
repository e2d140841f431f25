"""`anybpf explain-error`."""

from __future__ import annotations

from tests.cli.conftest import Cli


def test_a_number_is_put_into_words(cli: Cli) -> None:
    out = cli("explain-error", "119", "--platform", "windows").out
    assert out.splitlines()[0] == "errno 119, ENOBUFS: no buffer space"
    assert "  on linux, 119 is ENAVAIL" in out


def test_a_negative_number_is_no_option(cli: Cli) -> None:
    assert cli("explain-error", "-22").out.startswith("errno 22, EINVAL: invalid argument")


def test_json_has_all_meanings(cli: Cli) -> None:
    said = cli("explain-error", "2", "--platform", "windows", "--json").json
    assert [one["kind"] for one in said["meanings"]] == ["errno", "ebpf_result", "win32"]
    assert said["meanings"][0]["name"] == "ENOENT"


def test_what_is_no_error(cli: Cli) -> None:
    result = cli("explain-error", "ERROR_MORE_DATA")
    assert result.code == 2
    assert "it means something on windows" in result.err
