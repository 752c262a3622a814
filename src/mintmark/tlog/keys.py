"""Keys of signed notes: their texts, signers and verifiers (C2SP signed-note, tlog-cosignature).

    0x01  Ed25519 over the note's text                     a log's key
    0x02  ECDSA over the note's text, DER                  verified only
    0x04  Ed25519 cosignature, with a time                 a mirror's or witness's key
    0x05  RFC 6962 tree head                               verified only
    0x06  ML-DSA-44 over a (sub)tree, with a time          a log's, a mirror's or a witness's key

The key ID of a text is recomputed and compared when it is read.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519, mldsa

from mintmark.errors import Malformed
from mintmark.tlog import algorithms
from mintmark.tlog import text as texts
from mintmark.tlog.origin import check_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from mintmark.tlog.algorithms import Check

ED25519, ECDSA, COSIGNATURE, RFC6962, MLDSA44 = 0x01, 0x02, 0x04, 0x05, 0x06

_SIGNED = {
    ED25519: algorithms.text_message,
    ECDSA: algorithms.text_message,
    COSIGNATURE: algorithms.cosignature_message,
    RFC6962: algorithms.rfc6962_message,
    MLDSA44: algorithms.subtree_message,
}
_LOADERS = {
    ED25519: algorithms.load_ed25519,
    ECDSA: algorithms.load_ecdsa,
    COSIGNATURE: algorithms.load_ed25519,
    RFC6962: algorithms.load_rfc6962,
    MLDSA44: algorithms.load_mldsa,
}

_PRIVATE: dict[int, Callable[[bytes], ed25519.Ed25519PrivateKey | mldsa.MLDSA44PrivateKey]] = {
    ED25519: ed25519.Ed25519PrivateKey.from_private_bytes,
    COSIGNATURE: ed25519.Ed25519PrivateKey.from_private_bytes,
    MLDSA44: mldsa.MLDSA44PrivateKey.from_seed_bytes,
}

MAX_CACHED_SIGNATURES = 2  # of a key, that verified and need not be verified again
SEED_BYTES = 32  # of Ed25519 and of ML-DSA-44 alike
NOT_A_SIGNER_KEY = "not a signer key (PRIVATE+KEY+<name>+<key ID>+<key>)"
_SECRET = "PRIVATE+KEY+"  # noqa: S105  # what such a text begins with


class Signer(Protocol):
    """A key that signs: in a file (`SecretKey`), or one that never leaves a KMS or an HSM."""

    @property
    def name(self) -> str:
        """The name of its owner: a log's origin, or a cosigner's name."""

    @property
    def kind(self) -> int:
        """ED25519, COSIGNATURE or MLDSA44."""

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that stand before each of its signatures."""

    @property
    def vkey(self) -> str:
        """The text of its public key."""

    def sign(self, message: bytes) -> bytes:
        """The bare signature of a message: Ed25519, or ML-DSA-44 with the empty context."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key. Made by `parse_vkey`."""

    name: str
    kind: int
    key_id: bytes
    vkey: str
    _check: Check = field(repr=False, compare=False)

    def verifies(self, text: bytes, signature: bytes) -> bool:
        """True if `signature` (of a signature line, behind the key ID) is by this key, of this note text."""
        try:
            bare, message = _SIGNED[self.kind](self.name, text, signature)
            self._check(bare, message)
        except (InvalidSignature, Malformed):
            return False
        return True


@dataclass(frozen=True, slots=True)
class SecretKey:
    """A signer whose key is a text, `skey`. Made by `generate_skey` and `parse_skey`."""

    name: str
    kind: int
    key_id: bytes
    vkey: str
    skey: str = field(repr=False)
    _sign: Callable[[bytes], bytes] = field(repr=False, compare=False)

    def sign(self, message: bytes) -> bytes:
        """The bare signature of a message."""
        return self._sign(message)


def sign_text(signer: Signer, text: bytes, time: int = 0) -> bytes:
    """The bytes behind the key ID in the signer's line: its signature of a note's text, at `time` (Unix seconds).

    An Ed25519 key of type 0x01 leaves the time out. A log's ML-DSA signature has time 0.

    Raises:
        Malformed: an ML-DSA key signs checkpoints only, and this text is none.
    """
    if signer.kind == ED25519:
        return signer.sign(text)
    stamp = time.to_bytes(8, "big")
    if signer.kind == COSIGNATURE:
        return stamp + signer.sign(algorithms.cosigned_text(time, text))
    return stamp + signer.sign(algorithms.signed_subtree(signer.name, stamp, text))


def parse_vkey(text: str) -> Verifier:
    """The public key of `<name>+<key ID>+<base64 of type and key>`.

    Raises:
        Malformed: anything else; an unknown type; a key ID that is not this key's; bytes that are no key.
    """
    name, key_id, kind, material = _parse_key(text)
    if kind not in _LOADERS:
        raise Malformed(f"a public key of unknown type 0x{kind:02x}")
    check = _LOADERS[kind](material)
    if _key_id(name, kind, material) != key_id:
        raise Malformed(f"the key ID {key_id.hex()} of {name} is not this key's: the text was changed")
    # The same note is opened where it is offered, accepted and shown. Only what verifies is kept.
    return Verifier(name, kind, key_id, text, lru_cache(maxsize=MAX_CACHED_SIGNATURES)(check))


def public_key(vkey: str) -> bytes:
    """The bytes of the key in a vkey, without its name and type."""
    return texts.parse_base64(vkey.split("+", 2)[2].encode())[1:]  # base64 has plus signs of its own


def generate_skey(name: str, kind: int = ED25519) -> SecretKey:
    """A new key: ED25519, COSIGNATURE or MLDSA44. Raises Malformed for a name that no key can have."""
    return _secret_key(name, kind, secrets.token_bytes(SEED_BYTES))


def parse_skey(text: str) -> SecretKey:
    """The secret key of `PRIVATE+KEY+<name>+<key ID>+<base64 of type and seed>`.

    Raises:
        Malformed: anything else. The message does not show the text.
    """
    name, key_id, kind, seed = _parse_key(text.removeprefix(_SECRET)) if text.startswith(_SECRET) else ("", b"", 0, b"")
    if kind not in _PRIVATE or len(seed) != SEED_BYTES:
        raise Malformed(NOT_A_SIGNER_KEY if text == text.strip() else f"{NOT_A_SIGNER_KEY}: it has blanks around it")
    key = _secret_key(name, kind, seed)
    if key.key_id != key_id:
        raise Malformed(f"the key ID {key_id.hex()} of the secret key of {name} is not its own: the text was changed")
    return key


def _secret_key(name: str, kind: int, seed: bytes) -> SecretKey:
    check_name(name)
    private = _PRIVATE[kind](seed)
    public = private.public_key().public_bytes_raw()
    key_id = _key_id(name, kind, public)
    vkey, skey = _format_key(name, key_id, kind, public), _SECRET + _format_key(name, key_id, kind, seed)
    return SecretKey(name, kind, key_id, vkey, skey, private.sign)


def _format_key(name: str, key_id: bytes, kind: int, material: bytes) -> str:
    return f"{name}+{key_id.hex()}+{texts.format_base64(bytes([kind]) + material).decode()}"


def _parse_key(text: str) -> tuple[str, bytes, int, bytes]:
    """Name, key ID, type and key; printed again to check the spelling."""
    if text != text.strip():
        raise Malformed("a blank before or behind the key; take it away")
    if not text:
        raise Malformed("an empty line where a key belongs; take it away")
    try:
        name, hex_id, encoded = text.split("+", 2)
        key_id, key = bytes.fromhex(hex_id), texts.parse_base64(encoded.encode("ascii"))
    except ValueError:
        raise Malformed("not a key (<name>+<key ID>+<key>)") from None
    check_name(name)
    if len(key_id) != 4 or not key or _format_key(name, key_id, key[0], key[1:]) != text:
        raise Malformed("not a key (<name>+<key ID>+<key>)")
    return name, key_id, key[0], key[1:]


def _key_id(name: str, kind: int, material: bytes) -> bytes:
    digest = hashlib.sha256(material).digest()
    if kind == ECDSA:  # whatever its name
        return digest[:4]
    named = digest if kind == RFC6962 else material
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + named).digest()[:4]
