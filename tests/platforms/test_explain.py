"""Error codes of both worlds in words."""

from __future__ import annotations

import errno

import pytest

from anybpf.errors import NotFound
from anybpf.platforms import get
from anybpf.platforms.explain import RESULT_MEANINGS, explain
from anybpf.platforms.win32_errors import WIN32_ERRORS


def test_119_is_another_error_on_windows() -> None:
    (here,) = [one for one in explain(119, "windows") if one.kind == "errno"]
    assert here.name == "ENOBUFS"
    assert "on linux, 119 is ENAVAIL" in here.notes
    assert explain(119, "linux")[0].name == "ENAVAIL"


@pytest.mark.parametrize("code", [-22, "-22", 22, "0x16", "EINVAL", "einval", 2**32 - 22])
def test_a_number_in_all_its_forms(code: int | str) -> None:
    assert explain(code, "linux")[0].number == errno.EINVAL


def test_a_number_with_a_sign_is_an_errno_and_nothing_else() -> None:
    assert {one.kind for one in explain(-2, "windows")} == {"errno"}
    assert {one.kind for one in explain(2, "windows")} == {"errno", "ebpf_result", "win32"}


def test_a_result_says_what_the_other_interfaces_make_of_it() -> None:
    (result,) = explain("EBPF_INSUFFICIENT_BUFFER", "windows")
    assert result.number == 24
    assert result.notes == [
        "libbpf functions return -119 for it (ENOBUFS)",
        "Win32: ERROR_MORE_DATA (234); drivers: STATUS_BUFFER_OVERFLOW",
    ]


def test_every_result_has_words_and_a_win32_number() -> None:
    results = get("windows").result_codes
    assert {one.name.removeprefix("EBPF_") for one in results} == set(RESULT_MEANINGS)
    assert {one.win32 for one in results} <= {name for _, name, _ in WIN32_ERRORS}
    for one in results:
        assert explain(one.name, "windows")[0].text


def test_linux_numbers_are_those_of_this_machine() -> None:
    for number, name in errno.errorcode.items():
        if name in get("linux").errnos:
            assert get("linux").errno(name).number == number


def test_what_is_no_error_says_where_it_would_be_one() -> None:
    with pytest.raises(NotFound, match="means something on windows"):
        explain("EBPF_KEY_NOT_FOUND", "linux")
    with pytest.raises(NotFound, match=r"did you mean .*ENOBUFS"):
        explain("ENOBUF", "windows")
    with pytest.raises(NotFound, match="no error of linux is 99999"):
        explain(99999)
