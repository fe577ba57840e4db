"""What a certificate says of itself, as far as a server must know: names and dates.

The ssl module tells it of the peer's certificate only, and of ours not at all. The few fields that
are wanted are read here from DER (X.690), where each value is a tag, a length and its octets.
"""

from __future__ import annotations

import re
import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----\s.*?-----END CERTIFICATE-----", re.DOTALL)
_SUBJECT_ALT_NAME: Final = bytes((0x55, 0x1D, 0x11))  # 2.5.29.17, RFC 5280 4.2.1.6
# Tags: universal ones, and those that RFC 5280 4.1 and 4.2.1.6 give to fields.
_UTC_TIME, _GENERALIZED_TIME, _SEQUENCE = 0x17, 0x18, 0x30
_VERSION, _EXTENSIONS, _DNS_NAME = 0xA0, 0xA3, 0x82


class Certificate(NamedTuple):
    """What is known of a certificate.

    Attributes:
        names: DNS names it is for, in lower case, as they stand in it ("*.example.org").
        not_after: the end of its validity, seconds since 1970.
        pem: the certificate alone, without its chain.
    """

    names: tuple[str, ...]
    not_after: float
    pem: str


def read_certificate(pem: bytes) -> Certificate:
    """The first certificate of a PEM text.

    Raises:
        ValueError: there is none, or it is not made as RFC 5280 4.1 says.
    """
    found = _PEM.search(pem)
    if found is None:
        raise ValueError("it holds no certificate")
    text = found[0].decode("ascii")
    try:
        whole = ssl.PEM_cert_to_DER_cert(text)
        ((_, certificate),) = _values(whole)
        (_, signed), *_ = _values(certificate)
        fields = [(tag, value) for tag, value in _values(signed) if tag != _VERSION]
        _, (_, not_after) = _values(fields[3][1])
        names = [name for tag, value in fields if tag == _EXTENSIONS for name in _names(value)]
    except (ValueError, IndexError) as error:
        raise ValueError("its certificate is damaged") from error
    return Certificate(tuple(names), _time(not_after), text + "\n")


def _values(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and octets of each value that stands in `der`, one behind the other."""
    at = 0
    while at < len(der):
        tag, length = der[at], der[at + 1]
        at += 2
        if length & 0x80:  # the length of the length
            count = length & 0x7F
            length = int.from_bytes(der[at : at + count], "big")
            at += count
        if at + length > len(der):
            raise ValueError("cut short")
        yield tag, der[at : at + length]
        at += length


def _names(extensions: bytes) -> Iterator[str]:
    """The DNS names of subjectAltName. The common name is none (RFC 9525 6.3)."""
    ((_, listed),) = _values(extensions)
    for _, extension in _values(listed):
        (_, identifier), *_, (_, value) = _values(extension)
        if identifier == _SUBJECT_ALT_NAME:
            ((_, names),) = _values(value)
            for tag, name in _values(names):
                if tag == _DNS_NAME:
                    yield name.decode("ascii").lower()


def _time(written: bytes) -> float:
    """Seconds since 1970 of `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ` (RFC 5280 4.1.2.5)."""
    digits = written.decode("ascii").removesuffix("Z")
    if len(digits) == 12:
        digits = ("20" if digits < "50" else "19") + digits
    return datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp()
