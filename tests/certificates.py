"""Certificates for tests: authorities, what they issue and what they revoke."""

from __future__ import annotations

import datetime as dt
import ipaddress
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from pathlib import Path

DAY = dt.timedelta(days=1)
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
PEM = serialization.Encoding.PEM


def new_key(kind: str = "ec"):
    """A private key."""
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP521R1() if kind == "p521" else ec.SECP256R1())


def key_pem(key, password: str = "", style: str = "PKCS8") -> bytes:
    """A key, encrypted if there is a password."""
    sealing = serialization.NoEncryption()
    if password:
        sealing = serialization.BestAvailableEncryption(password.encode())
    return key.private_bytes(PEM, getattr(serialization.PrivateFormat, style), sealing)


class Issued:
    """A certificate and its key."""

    def __init__(self, certificate: x509.Certificate, key) -> None:
        self.certificate = certificate
        self.key = key
        self.pem = certificate.public_bytes(PEM)
        self.key_pem = key_pem(key)

    def write(self, directory: Path, name: str, password: str = "") -> tuple[str, str]:
        """Write `NAME.crt` and `NAME.key`, each by a rename; their paths."""
        key = key_pem(self.key, password)
        paths = []
        for suffix, octets in (("crt", self.pem), ("key", key)):
            path = directory / f"{name}.{suffix}"
            fresh = path.with_suffix(f".{suffix}.new")
            fresh.write_bytes(octets)
            fresh.rename(path)
            paths.append(str(path))
        return paths[0], paths[1]


class Authority:
    """A self-signed authority."""

    def __init__(self, name: str = "Test Authority") -> None:
        self.key = new_key()
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = (
            self._builder(self.name, self.key.public_key(), NOW + 3650 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=True,
                    key_cert_sign=True,
                    crl_sign=True,
                    content_commitment=False,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False
            )
            .sign(self.key, hashes.SHA256())
        )
        self.pem = self.certificate.public_bytes(PEM)

    def _builder(self, subject, public_key, until) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - 30 * DAY)
            .not_valid_after(until)
        )

    def issue(
        self,
        *names: str,
        subject: list[tuple[x509.ObjectIdentifier, str]] | None = None,
        days: int = 30,
        kind: str = "ec",
    ) -> Issued:
        """A certificate for hosts, addresses and a subject; with `days` below 0 it has expired."""
        key = new_key(kind)
        parts = subject or [(NameOID.COMMON_NAME, names[0] if names else "client")]
        name = x509.Name([x509.NameAttribute(kind_, value) for kind_, value in parts])
        builder = self._builder(name, key.public_key(), NOW + days * DAY)
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_general_name(one) for one in names]), critical=False
            )
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
            critical=False,
        )
        return Issued(builder.sign(self.key, hashes.SHA256()), key)

    def revoke(self, *issued: Issued) -> bytes:
        """A list of revoked certificates, PEM."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.name)
            .last_update(NOW - DAY)
            .next_update(NOW + 30 * DAY)
        )
        for one in issued:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(one.certificate.serial_number)
                .revocation_date(NOW - DAY)
                .build()
            )
        return builder.sign(self.key, hashes.SHA256()).public_bytes(PEM)


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
