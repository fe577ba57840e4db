"""Certificates of a server, and which of them is for whom (RFC 6066 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from granian_d.engine.server_names import ServerNames
from granian_d.errors import ConfigError

if TYPE_CHECKING:
    from granian_d.engine.datagrams import Credentials

MOST_CHAIN_BYTES: Final = 15000  # aioquic writes its part of a handshake into 16 KiB
# What aioquic signs with; a handshake with any other key would fail, each time.
_CURVES: Final = (ec.SECP256R1, ec.SECP384R1)
_EDWARDS: Final = (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey)


class Pair(NamedTuple):
    """A certificate with its chain, and its key.

    Attributes:
        certificate: the server's own.
        chain: of those that vouch for it, in order.
        key: private.
        pem: the certificate alone.
    """

    certificate: x509.Certificate
    chain: list[x509.Certificate]
    key: Any
    pem: str

    def __repr__(self) -> str:
        return f"Pair({self.certificate.subject.rfc4514_string()!r})"  # without the key


def read_pairs(credentials: Credentials) -> ServerNames[Pair]:
    """The pairs by the names that they are for; the first is the default.

    Raises:
        ConfigError: one of them cannot be used for QUIC.
    """
    pairs = [_read(at, *octets) for at, octets in enumerate(credentials.pairs)]
    names = ServerNames(pairs[0])
    for pair in pairs:
        names.learn(_names(pair.certificate), pair)
    return names


def _read(at: int, chain: bytes, key: bytes, password: str) -> Pair:
    which = f"certificate {at + 1}"
    try:
        own, *others = x509.load_pem_x509_certificates(chain)
        private = _read_key(key, password)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{which} or its key cannot be read for HTTP/3: {error}") from None
    usable = isinstance(private, (rsa.RSAPrivateKey, *_EDWARDS)) or (
        isinstance(private, ec.EllipticCurvePrivateKey) and isinstance(private.curve, _CURVES)
    )
    if not usable:
        raise ConfigError(
            f"{which} cannot be used for HTTP/3: its key must be of RSA, ECDSA (P-256, P-384) or"
            " EdDSA"
        )
    octets = sum(len(one.public_bytes(Encoding.DER)) for one in (own, *others))
    if octets > MOST_CHAIN_BYTES:
        raise ConfigError(
            f"{which} cannot be used for HTTP/3: with its chain it has {octets} bytes,"
            f" more than {MOST_CHAIN_BYTES}"
        )
    return Pair(own, others, private, own.public_bytes(Encoding.PEM).decode("ascii"))


def _read_key(key: bytes, password: str) -> Any:
    """The key; a password for one that is not encrypted is no fault, as it is none to OpenSSL."""
    try:
        return load_pem_private_key(key, password.encode() if password else None)
    except TypeError:
        if not password:
            raise
        return load_pem_private_key(key, None)


def _names(certificate: x509.Certificate) -> list[str]:
    """The DNS names of subjectAltName; the common name is none (RFC 9525 6.3)."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return [name.lower() for name in found.value.get_values_for_type(x509.DNSName)]
