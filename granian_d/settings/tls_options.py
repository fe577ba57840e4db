"""The options of the table `ssl`: see model.py, whose rules hold here too."""

# No `from __future__ import annotations`: here annotations are data, pydantic evaluates them.

from typing import Any, Final

from pydantic import model_validator

from granian_d.plan.model import TlsVersion
from granian_d.settings.fields import Table, duration, option
from granian_d.settings.kinds import Text
from granian_d.settings.refusal import Refusal

# Forward secrecy and authenticated encryption: what RFC 9113 A leaves of TLS 1.2, and what
# RFC 9325 4.2 recommends.
DEFAULT_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"


class Certificate(Table):
    """One entry of `ssl.sni`: a string `CERT,KEY`, or a table."""

    certificate: str = option(
        ..., "Certificate, followed by those between it and a root, PEM.", kind="file"
    )
    keyfile: str = option(..., "Key of the certificate, PEM.", kind="file")
    keyfile_password: str | None = option(
        None, "Password of the key.", kind="secret", example="open sesame"
    )

    @model_validator(mode="before")
    @classmethod
    def _split(cls, written: Any) -> Any:
        if not isinstance(written, str):
            return written
        certificate, comma, keyfile = written.partition(",")
        if not comma or "," in keyfile:
            raise Refusal(f'"{written}" is not of the form CERT,KEY')
        return {"certificate": Text(certificate), "keyfile": Text(keyfile)}

    def __str__(self) -> str:
        return f"{self.certificate},{self.keyfile}"


class Ssl(Table):
    """TLS."""

    certificate: str | None = option(
        None,
        "Certificate to show, followed by those between it and a root, PEM; with it and its key,"
        " listeners are secured.",
        kind="file",
        example="tls.crt",
    )
    keyfile: str | None = option(
        None, "Key of the certificate, PEM.", kind="file", example="tls.key"
    )
    keyfile_password: str | None = option(
        None, "Password of the key.", kind="secret", example="open sesame"
    )
    protocol_min: TlsVersion = option("tls1.3", "Oldest version of TLS that is spoken.")
    ca: str | None = option(
        None,
        "Certificates of authorities, PEM, that clients' certificates are judged by.",
        kind="file",
        example="clients.crt",
    )
    crl: tuple[str, ...] = option(
        (),
        "List of certificates that such an authority has revoked, PEM; may come several times."
        " With any, each authority of a client needs one.",
        kind="files",
        example=["clients.crl"],
    )
    client_verify: bool = option(
        False,
        "Refuse clients without a certificate; when off and with `ca`, they need not have one, and"
        " one that they have must be good.",
    )
    ciphers: str = option(DEFAULT_CIPHERS, "Ciphers of TLS 1.2, as OpenSSL lists them.")
    sni: tuple[Certificate, ...] = option(
        (),
        "Another certificate, for clients that ask for a name in it; may come several times.",
        kind="certificates",
        example=["api.crt,api.key"],
    )
    handshake_timeout: float = duration(10, "Time for a handshake.", ge=1)
    ticket_lifetime: float = duration(
        21600,
        "Time after which the key of session tickets is replaced; 0 gives out no tickets.",
        ge=0,
    )
