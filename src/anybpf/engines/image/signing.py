"""Signatures of images and proofs: Ed25519, by the package ``cryptography``.

Keys come from files that ``openssl genpkey -algorithm ed25519`` makes, or are 32 bytes written as
hexadecimal digits. Which keys are to be trusted is said by whoever loads, or by a policy.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Final

from anybpf.errors import InputError, NotSupported

KEY_SIZE: Final = 32
SIGNATURE_SIZE: Final = 64
_PEM: Final = b"-----BEGIN "
_PEM_END: Final = b"-----END "

# What may be given for a key that is to be trusted: a file, its contents, 32 bytes, or several.
Keys = str | os.PathLike[str] | bytes | Iterable["str | os.PathLike[str] | bytes"]


def _need() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise NotSupported(
            "signing and checking signatures (install cryptography, `pip install anybpf[sign]`)",
            where="an installation without it",
        ) from error
    return ed25519


def private_key(file: str | os.PathLike[str]) -> Any:
    """The signing key in a PEM file, as ``openssl genpkey -algorithm ed25519`` writes it."""
    ed25519 = _need()
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    with open(file, "rb") as stream:
        data = stream.read()
    name = os.fspath(file)
    try:
        key = load_pem_private_key(data, None)
    except TypeError:
        raise InputError(f"{name}: this key is encrypted; decrypt it with openssl pkey") from None
    except ValueError:
        raise InputError(
            f"{name}: this is no private key in PEM form; make one with "
            "openssl genpkey -algorithm ed25519"
        ) from None
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise InputError(f"{name}: this is no Ed25519 key, and only such keys sign")
    return key


def public_bytes(key: Any) -> bytes:
    """The 32 bytes that belong to a signing key."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    found: bytes = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return found


def is_good(key: bytes, signature: bytes, data: bytes) -> bool:
    """Whether the owner of the key signed these very bytes."""
    ed25519 = _need()
    from cryptography.exceptions import InvalidSignature

    try:
        ed25519.Ed25519PublicKey.from_public_bytes(key).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


def read_keys(given: Keys) -> frozenset[bytes]:
    """The public keys in a file, or in several, or given as 32 bytes each.

    A file has public keys (or private ones, whose public half is taken) in PEM form, or one key a
    line in 64 hexadecimal digits; empty lines and what follows a ``#`` do not count.
    """
    if isinstance(given, (str, bytes, os.PathLike)):
        given = [given]
    found: set[bytes] = set()
    for one in given:
        if isinstance(one, bytes):
            if len(one) != KEY_SIZE:
                raise InputError(f"a public key has {KEY_SIZE} bytes, not {len(one)}")
            found.add(one)
            continue
        with open(one, "rb") as stream:
            found |= parse_keys(stream.read(), os.fspath(one))
    if not found:
        raise InputError("no key is given, so nothing could be loaded; name a file with keys")
    return frozenset(found)


def parse_keys(data: bytes, file: str = "") -> set[bytes]:
    """The keys that a file's text names."""
    found: set[bytes] = set()
    block: list[bytes] = []
    for number, raw in enumerate(data.splitlines(), 1):
        line = raw.partition(b"#")[0].strip()
        if block or line.startswith(_PEM):
            block.append(line)
            if line.startswith(_PEM_END):
                found.add(_pem(b"\n".join(block) + b"\n", file, number))
                block = []
            continue
        if not line:
            continue
        try:
            key = bytes.fromhex(line.decode())
        except ValueError:
            key = b""
        if len(key) != KEY_SIZE:
            raise InputError(
                f"{file}:{number}: this is neither a key of {2 * KEY_SIZE} hexadecimal digits nor "
                "the beginning of one in PEM form"
            )
        found.add(key)
    if block:
        raise InputError(f"{file}: a key in PEM form has no end")
    return found


def _pem(text: bytes, file: str, line: int) -> bytes:
    ed25519 = _need()
    from cryptography.hazmat.primitives import serialization as s

    try:
        if b"PRIVATE KEY" in text.splitlines()[0]:
            key: Any = s.load_pem_private_key(text, None).public_key()
        else:
            key = s.load_pem_public_key(text)
    except (ValueError, TypeError) as error:
        raise InputError(f"{file}:{line}: this key in PEM form cannot be read: {error}") from None
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise InputError(f"{file}:{line}: this is no Ed25519 key, and only such keys sign")
    found: bytes = key.public_bytes(s.Encoding.Raw, s.PublicFormat.Raw)
    return found


def short(key: bytes) -> str:
    """A key as messages name it."""
    return f"{key.hex()[:16]}..."
