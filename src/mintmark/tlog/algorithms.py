"""Public keys as bytes: which are refused, and how each checks a signature.

A `load_...` gives the check of a bare signature and its message. It raises Malformed for what is no key of its type,
and for Ed25519 points of low order, which verify forged signatures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa

from mintmark.errors import Malformed

if TYPE_CHECKING:
    from collections.abc import Callable

    Check = Callable[[bytes, bytes], None]  # signature, message; raises InvalidSignature

_CURVES = ("secp256r1", "secp384r1", "secp521r1")
_P = 2**255 - 19
_ORDER_8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_LOW_ORDER = {0, 1, _P - 1, _ORDER_8, _P - _ORDER_8}  # y of the points of order 1, 2, 4 and 8


def load_ed25519(material: bytes) -> Check:
    """Type 0x01 and 0x04: a point of 32 bytes."""
    if len(material) != 32:
        raise Malformed(f"an Ed25519 key of {len(material)} bytes, not 32")
    y = int.from_bytes(material, "little") % 2**255
    if y >= _P or y in _LOW_ORDER:
        raise Malformed("an Ed25519 key that verifies forged signatures (a point of low order, or not canonical)")
    return ed25519.Ed25519PublicKey.from_public_bytes(material).verify


def load_mldsa(material: bytes) -> Check:
    """Type 0x06: an ML-DSA-44 key, for signatures with the empty context."""
    try:
        return mldsa.MLDSA44PublicKey.from_public_bytes(material).verify
    except ValueError as error:
        raise Malformed(f"an ML-DSA-44 key of {len(material)} bytes, not 1312") from error


def load_ecdsa(material: bytes) -> Check:
    """Type 0x02: a key on a NIST curve, in DER, for signatures of SHA-256."""
    key = _load_spki(material)
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _CURVES:
        raise Malformed(f"not an ECDSA key on one of {', '.join(_CURVES)}")
    return lambda signature, message: key.verify(signature, message, ec.ECDSA(hashes.SHA256()))


def load_rfc6962(material: bytes) -> Check:
    """Type 0x05: an ECDSA or RSA key, in DER, for signatures that name their algorithm."""
    key = _load_spki(material)
    if isinstance(key, rsa.RSAPublicKey):
        return _digitally_signed(
            1, lambda bare, message: key.verify(bare, message, padding.PKCS1v15(), hashes.SHA256())
        )
    return _digitally_signed(3, load_ecdsa(material))


def _digitally_signed(algorithm: int, check: Check) -> Check:
    """RFC 5246 section 4.7: SHA-256 (4), the signature's algorithm, its length in two bytes, and it."""

    def check_all(signature: bytes, message: bytes) -> None:
        if signature[:4] != bytes([4, algorithm]) + len(signature[4:]).to_bytes(2, "big"):
            raise InvalidSignature
        check(signature[4:], message)

    return check_all


def _load_spki(material: bytes) -> object:
    try:
        key = serialization.load_der_public_key(material)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Malformed("not a public key in DER (SubjectPublicKeyInfo)") from error
    canonical = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if canonical != material:
        raise Malformed("a public key that is not in canonical DER")
    return key
