"""Proofs of verification: what they spare, what they are bound to, and what is not believed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from anybpf import platforms
from anybpf.engines import prepare
from anybpf.engines.image import signing
from anybpf.engines.proof import make_proof
from anybpf.errors import ImageError, InputError
from anybpf.objects import load_spec
from anybpf.platforms import ReturnRange
from anybpf.runtime import Runtime
from anybpf.verifier import verify
from tests.runtime.conftest import build, runtime

ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
KEY = ed25519.Ed25519PrivateKey.generate()
PUBLIC = signing.public_bytes(KEY)
__all__ = ["build", "runtime"]

SOURCE = r"""
#include <linux/bpf.h>
#define SEC(name) __attribute__((section(name), used))
const volatile unsigned limit = 3;
static __attribute__((noinline)) int add(int x) { return x + limit; }
SEC("xdp") int first(struct xdp_md *ctx) { return add(ctx->ingress_ifindex) & 3; }
SEC("xdp") int second(struct xdp_md *ctx) { return 2; }
char _license[] SEC("license") = "GPL";
"""


@pytest.fixture(scope="module")
def data(build: Callable[..., Path]) -> bytes:
    return build(SOURCE).read_bytes()


def proof_of(data: bytes, key: Any = KEY) -> bytes:
    spec = load_spec(data)
    made = [prepare(one, verify(one, spec)) for one in spec.programs.values()]
    return make_proof(made, data, spec, key)


@pytest.fixture(scope="module")
def proof(data: bytes) -> bytes:
    return proof_of(data)


@pytest.fixture
def no_analysis(monkeypatch: pytest.MonkeyPatch) -> None:
    """The verifier must not be asked."""

    def asked(*args: object, **kwargs: object) -> None:
        raise AssertionError("the program was analysed")

    import anybpf.verifier

    monkeypatch.setattr(anybpf.verifier, "verify", asked)


@pytest.mark.usefixtures("no_analysis")
def test_with_a_proof_nothing_is_analysed(runtime: Runtime, data: bytes, proof: bytes) -> None:
    with runtime.load(data, proof=proof, key=PUBLIC, engine="interpret") as loaded:
        ran = loaded.program("first").test_run(bytes(64), {"ingress_ifindex": 2})
        assert ran.retval == (2 + 3) & 3


def test_what_comes_out_is_what_an_analysis_would_give(
    runtime: Runtime, data: bytes, proof: bytes
) -> None:
    with (
        runtime.load(data, proof=proof, key=PUBLIC) as one,
        runtime.load(data) as other,
    ):
        for name in ("first", "second"):
            mine, theirs = one.program(name), other.program(name)
            assert mine.prepared.code == theirs.prepared.code
            assert mine.info().verified_insns == theirs.info().verified_insns
            facts = mine.verification.facts
            assert facts.to_json() == theirs.verification.facts.to_json()


def test_equal_objects_give_equal_proofs(data: bytes, proof: bytes) -> None:
    assert proof_of(data) == proof


def test_every_byte_counts(runtime: Runtime, data: bytes, proof: bytes) -> None:
    for at in range(0, len(proof), 7):
        damaged = bytearray(proof)
        damaged[at] ^= 1
        with pytest.raises(ImageError):
            runtime.load(data, proof=bytes(damaged), key=PUBLIC)


def test_it_is_bound_to_the_object(
    runtime: Runtime, proof: bytes, build: Callable[..., Path]
) -> None:
    other = build(SOURCE.replace("return 2", "return 1")).read_bytes()
    with pytest.raises(ImageError, match="one of an object with the hash"):
        runtime.load(other, proof=proof, key=PUBLIC)


def test_it_is_bound_to_constants(runtime: Runtime, data: bytes, proof: bytes) -> None:
    """The analysis knew their values: with others it might have said something else."""
    with pytest.raises(ImageError, match="maps and constants with the hash"):
        runtime.load(data, proof=proof, key=PUBLIC, variables={"limit": 4})


def test_it_is_bound_to_the_platforms_tables(
    runtime: Runtime, data: bytes, proof: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    xdp = platforms.get("linux").program_type("xdp")
    monkeypatch.setattr(xdp, "returns", (ReturnRange(0, 9),))
    with pytest.raises(ImageError, match="made against tables of linux with the hash"):
        runtime.load(data, proof=proof, key=PUBLIC)


def test_it_is_signed_by_whom_one_trusts(runtime: Runtime, data: bytes, proof: bytes) -> None:
    other = signing.public_bytes(ed25519.Ed25519PrivateKey.generate())
    with pytest.raises(ImageError, match="which is not allowed"):
        runtime.load(data, proof=proof, key=other)
    with pytest.raises(ImageError, match="is not signed"):
        runtime.load(data, proof=proof_of(data, None), key=PUBLIC)
    with pytest.raises(InputError, match="say which is trusted"):
        runtime.load(data, proof=proof)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"verifier": "0.0.1 facts 1"}, "made by verifier 0.0.1"),
        ({"platform": "windows"}, "is one for windows"),
        ({"programs": {}}, "says nothing of program"),
        ({"programs": []}, "lacks what proofs have"),
    ],
)
def test_others_are_refused_even_if_they_are_signed(
    runtime: Runtime, data: bytes, proof: bytes, change: dict[str, Any], word: str
) -> None:
    value = json.loads(proof.partition(b"\n")[2]) | change
    with pytest.raises(ImageError, match=word):
        runtime.load(data, proof=signed(value), key=PUBLIC)


def test_facts_that_do_not_fit_are_refused(runtime: Runtime, data: bytes, proof: bytes) -> None:
    value = json.loads(proof.partition(b"\n")[2])
    value["programs"]["first"]["facts"] = value["programs"]["second"]["facts"]
    with pytest.raises(ImageError, match="instructions of program first"):
        runtime.load(data, proof=signed(value), key=PUBLIC)


def signed(value: object) -> bytes:
    """A proof of other contents by the same key."""
    from anybpf.engines import proof as p

    body = json.dumps(value).encode()
    signature = KEY.sign(p._PURPOSE + body).hex()
    return f"anybpf-proof 1 {PUBLIC.hex()} {signature}\n".encode() + body
