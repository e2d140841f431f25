"""Keys in files, in the forms that people have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from anybpf.engines.image import signing
from anybpf.errors import InputError

ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")


def pem(key: object, private: bool = False) -> bytes:
    from cryptography.hazmat.primitives import serialization as s

    if private:
        return key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())  # type: ignore[attr-defined,no-any-return]
    return key.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined,no-any-return]


def test_a_file_may_have_keys_in_all_forms(tmp_path: Path) -> None:
    keys = [ed25519.Ed25519PrivateKey.generate() for _ in range(3)]
    raw = [signing.public_bytes(key) for key in keys]
    file = tmp_path / "allowed"
    file.write_bytes(
        b"# who may sign\n\n" + pem(keys[0]) + raw[1].hex().encode() + b"  # build machine\n"
        + pem(keys[2], private=True)
    )  # fmt: skip
    assert signing.read_keys(file) == set(raw)
    assert signing.read_keys([file, raw[0]]) == set(raw)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (b"abc\n", ":1: this is neither"),
        (b"\n" + b"00" * 31, ":2: this is neither"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n", "has no end"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "cannot be read"),
        (b"# nobody\n", "no key is given"),
    ],
)
def test_what_is_no_key_is_told_with_its_line(text: bytes, word: str, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_bytes(text)
    with pytest.raises(InputError, match=word):
        signing.read_keys(file)


def test_keys_of_other_kinds_do_not_sign(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import x25519

    file = tmp_path / "key.pem"
    file.write_bytes(pem(x25519.X25519PrivateKey.generate(), private=True))
    with pytest.raises(InputError, match="no Ed25519 key"):
        signing.private_key(file)
    file.write_bytes(b"something")
    with pytest.raises(InputError, match="openssl genpkey -algorithm ed25519"):
        signing.private_key(file)


def test_a_signature_is_one_of_these_bytes_and_this_key() -> None:
    key, other = (ed25519.Ed25519PrivateKey.generate() for _ in range(2))
    signature = key.sign(b"data")
    assert signing.is_good(signing.public_bytes(key), signature, b"data")
    assert not signing.is_good(signing.public_bytes(key), signature, b"date")
    assert not signing.is_good(signing.public_bytes(other), signature, b"data")
    assert not signing.is_good(bytes(31), signature, b"data")
