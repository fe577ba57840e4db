"""What a handshake came to, for applications (http.message.TlsFacts)."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, Final

from granian_d.http.message import TlsFacts

if TYPE_CHECKING:
    from granian_d.transport.tls_context import Contexts, Talk

_VERSIONS: Final = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}

# RFC 4514 3; what has no name there keeps OpenSSL's.
_SHORT: Final = {
    "commonName": "CN",
    "countryName": "C",
    "domainComponent": "DC",
    "localityName": "L",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "stateOrProvinceName": "ST",
    "streetAddress": "STREET",
    "userId": "UID",
}
_SPECIAL: Final = frozenset('"+,;<>\\')


def facts_of(talk: Talk, contexts: Contexts) -> TlsFacts:
    """The facts of a connection whose handshake is over."""
    name, _, _ = talk.cipher() or ("", "", 0)
    der = talk.getpeercert(binary_form=True)
    return TlsFacts(
        version=_VERSIONS.get(talk.version() or "", 0),
        cipher=contexts.number(name),
        cipher_name=name,
        server_name=talk.server_name,
        server_certificate=contexts.pem(talk.context),
        client_chain=_chain(talk, der) if der else (),
        client_name=distinguished_name(talk.getpeercert()) if der else "",
    )


def _chain(talk: Any, der: bytes) -> tuple[str, ...]:
    """The certificates that the client has sent, PEM, its own first."""
    # Public since 3.13; before, the object behind has it. A resumed session knows the first alone.
    if hasattr(talk, "get_unverified_chain"):
        shown = talk.get_unverified_chain()
    else:
        sent = talk._sslobj.get_unverified_chain()  # noqa: SLF001 - as above
        shown = [ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in sent or ()]
    return tuple(map(ssl.DER_cert_to_PEM_cert, shown or (der,)))


def distinguished_name(certificate: Any) -> str:
    """The subject, as RFC 4514 writes it: the last part first."""
    parts = [
        "+".join(f"{_SHORT.get(name, name)}={_escape(value)}" for name, value in part)
        for part in certificate["subject"]
    ]
    return ",".join(reversed(parts))


def _escape(value: str) -> str:
    """A value with a backslash before what would end it (RFC 4514 2.4)."""
    text = "".join("\\" + letter if letter in _SPECIAL else letter for letter in value)
    text = text.replace("\0", "\\00")
    if value[:1] in {" ", "#"}:
        text = "\\" + text
    if len(value) > 1 and value.endswith(" "):
        text = text[:-1] + "\\ "
    return text
