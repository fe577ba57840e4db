"""Contexts of OpenSSL: made of a TlsPlan and of what its files hold.

The master makes them before it forks, because it may read the keys; the workers have them with the
rest of its memory. What replaces them later travels as octets, `Material`: a worker need not be
able to read any of the files. Neither a loop nor a thread is known here.

Contexts are never changed once they are made: new material is a new set of them. The key of the
session tickets is part of the material, so that tickets outlive the set.
"""

from __future__ import annotations

import json
import os
import re
import ssl
import stat
import sys
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from granian_d.engine.server_names import ServerNames
from granian_d.errors import ConfigError
from granian_d.transport.x509 import Certificate, read_certificate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from granian_d.plan.model import CertificatePlan, TlsPlan

OptionPath = tuple[str | int, ...]  # below `ssl`: ("sni", 0, "keyfile")

MOST_FILE_BYTES: Final = 16 * 1024 * 1024  # lists of revoked certificates are long
_VERSIONS: Final = {"tls1.2": ssl.TLSVersion.TLSv1_2, "tls1.3": ssl.TLSVersion.TLSv1_3}
_VERIFY: Final = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}
_KEY: Final = re.compile(rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----")
_SEALED: Final = re.compile(rb"-----BEGIN ENCRYPTED PRIVATE KEY-----|Proc-Type: 4,ENCRYPTED")
_AUTHORITY: Final = b"-----BEGIN CERTIFICATE-----"
_REVOKED: Final = b"-----BEGIN X509 CRL-----"


class TlsFault(ConfigError):
    """Something that a TlsPlan names cannot be used.

    Args:
        option: which, below `ssl`.
        reason: why; it names the file and no secret.
        denied: the file may not be read by this user.
    """

    def __init__(self, option: OptionPath, reason: str, *, denied: bool = False) -> None:
        name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in option)
        super().__init__(f"ssl{name}: {reason}")
        self.option = option
        self.reason = reason
        self.denied = denied


class Material(NamedTuple):
    """What the files of a TlsPlan hold, and the key of the session tickets.

    Attributes:
        pairs: certificate and key of each CertificatePlan, PEM.
        ca: certificates of authorities, PEM; b"" for none.
        crls: what they have revoked, PEM.
        ticket_keys: 80 octets; b"" leaves it to OpenSSL.
    """

    pairs: tuple[tuple[bytes, bytes], ...]
    ca: bytes
    crls: tuple[bytes, ...]
    ticket_keys: bytes = b""

    @property
    def trust(self) -> tuple[bytes, tuple[bytes, ...]]:
        """What decides which client is let in."""
        return self.ca, self.crls


def encode(material: Material) -> bytes:
    """The material as octets, for another process."""
    parts = {
        "pairs": [[part.decode("latin-1") for part in pair] for pair in material.pairs],
        "ca": material.ca.decode("latin-1"),
        "crls": [crl.decode("latin-1") for crl in material.crls],
        "ticket_keys": material.ticket_keys.decode("latin-1"),
    }
    return json.dumps(parts).encode("ascii")


def decode(octets: bytes) -> Material:
    """The material that `encode` wrote."""
    parts = json.loads(octets)
    return Material(
        pairs=tuple((one.encode("latin-1"), key.encode("latin-1")) for one, key in parts["pairs"]),
        ca=parts["ca"].encode("latin-1"),
        crls=tuple(crl.encode("latin-1") for crl in parts["crls"]),
        ticket_keys=parts["ticket_keys"].encode("latin-1"),
    )


def files(plan: TlsPlan) -> list[str]:
    """Every file that the plan names."""
    pairs = [file for pair in plan.certificates for file in (pair.certificate, pair.keyfile)]
    return [*pairs, *filter(None, (plan.ca,)), *plan.crls]


def read_material(plan: TlsPlan) -> Material:
    """Read the files of a plan.

    Raises:
        TlsFault: one of them cannot be read.
    """
    return Material(
        pairs=tuple(
            (
                _read((*where, "certificate"), pair.certificate),
                _read((*where, "keyfile"), pair.keyfile),
            )
            for where, pair in _places(plan)
        ),
        ca=_read(("ca",), plan.ca) if plan.ca else b"",
        crls=tuple(_read(("crl", at), file) for at, file in enumerate(plan.crls)),
    )


def _places(plan: TlsPlan) -> Iterable[tuple[OptionPath, CertificatePlan]]:
    """The certificates, and the option that names each."""
    first, *others = plan.certificates
    return [((), first), *((("sni", at), pair) for at, pair in enumerate(others))]


def _read(option: OptionPath, path: str) -> bytes:
    # No pipe: nobody may make the master wait.
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise TlsFault(option, f"{path} is not a regular file")
            octets = file.read(MOST_FILE_BYTES + 1)
    except OSError as error:
        denied = isinstance(error, PermissionError)
        reason = f"{path} cannot be read: {error.strerror}"
        raise TlsFault(option, reason, denied=denied) from error
    if len(octets) > MOST_FILE_BYTES:
        raise TlsFault(option, f"{path} is larger than {MOST_FILE_BYTES} bytes")
    return octets


class Talk(ssl.SSLObject):
    """One connection of OpenSSL, which remembers the name that was asked for."""

    server_name = ""


class Contexts:
    """A context for each certificate, and which one is for whom.

    Args:
        plan: what is wanted.
        material: what the plan's files hold.

    Raises:
        TlsFault: something of it cannot be used.

    Attributes:
        default: for clients that ask for no name, or for one that no certificate has.
        certificates: ours, in the plan's order.
        material: what they were made of.
        shares_tickets: the tickets are sealed with the key of the material.
    """

    __slots__ = (
        "_names",
        "_numbers",
        "_pems",
        "certificates",
        "default",
        "material",
        "shares_tickets",
    )

    def __init__(self, plan: TlsPlan, material: Material) -> None:
        self.material = material
        self.certificates: list[Certificate] = []
        self._pems: dict[ssl.SSLContext, str] = {}
        contexts: list[ssl.SSLContext] = []
        for (where, pair), octets in zip(_places(plan), material.pairs, strict=True):
            try:
                context = _context(plan, material)
                certificate = _put_pair(context, where, pair, octets)
            except OSError as error:  # no descriptor or memory left
                raise TlsFault(where, f"cannot be tried now: {error.strerror}") from error
            self.certificates.append(certificate)
            self._pems[context] = certificate.pem
            contexts.append(context)
        self.default = contexts[0]
        self._names = ServerNames(self.default)
        for certificate, context in zip(self.certificates, contexts, strict=True):
            self._names.learn(certificate.names, context)
        self._numbers = {
            cipher["name"]: int(cipher["id"]) & 0xFFFF for cipher in self.default.get_ciphers()
        }
        if len(contexts) > 1:
            self.default.sni_callback = self._choose
        else:
            self.default.sni_callback = _note_name
        # Tickets are sealed by the context that a handshake began with.
        self.shares_tickets = _seal_tickets(plan, material, self.default)

    def wrap(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> Talk:
        """A connection, before its handshake."""
        talk = self.default.wrap_bio(incoming, outgoing, server_side=True)
        assert isinstance(talk, Talk)
        return talk

    def pem(self, context: ssl.SSLContext) -> str:
        """Our certificate in one of these contexts."""
        return self._pems[context]

    def number(self, cipher: str) -> int:
        """The number of a cipher suite (IANA) by OpenSSL's name, 0 if it is none of ours."""
        return self._numbers.get(cipher, 0)

    def pick(self, name: str) -> ssl.SSLContext:
        """The context for a name that a client asks for."""
        return self._names.pick(name)

    def _choose(self, talk: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        """The client has said hello (RFC 6066 3)."""
        _note_name(talk, name, context)
        if name:
            wanted = self.pick(name)
            if wanted is not context:
                talk.context = wanted


def mute_odd_names() -> None:
    """Say nothing of names that are not ASCII.

    Such a name ends the handshake. The ssl module reports it as a fault of the process too, a
    traceback on standard error for whoever cares to send one.
    """
    told = sys.unraisablehook

    def tell(fault: sys.UnraisableHookArgs) -> None:
        if not (fault.exc_type is UnicodeDecodeError and isinstance(fault.object, bytes)):
            told(fault)

    sys.unraisablehook = tell


def _note_name(talk: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
    assert isinstance(talk, Talk)
    talk.server_name = name or ""


def _context(plan: TlsPlan, material: Material) -> ssl.SSLContext:
    """A context without a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = Talk
    context.minimum_version = _VERSIONS[plan.protocol_min]
    # A client that may begin anew as often as it likes has us compute for nothing.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    try:
        context.set_ciphers(plan.ciphers)
    except ssl.SSLError:
        raise TlsFault(("ciphers",), f'OpenSSL knows no cipher of "{plan.ciphers}"') from None
    context.set_alpn_protocols(list(plan.alpn))
    if not plan.ticket_lifetime_s:
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    if plan.ca:
        _put_authorities(context, plan, material)
        context.verify_mode = _VERIFY[plan.client_certificate]
    return context


def _put_authorities(context: ssl.SSLContext, plan: TlsPlan, material: Material) -> None:
    _load_authorities(context, ("ca",), plan.ca, material.ca, _AUTHORITY, "certificate")
    for at, (file, octets) in enumerate(zip(plan.crls, material.crls, strict=True)):
        _load_authorities(context, ("crl", at), file, octets, _REVOKED, "revocation list")
    if plan.crls:
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN


def _load_authorities(
    context: ssl.SSLContext, option: OptionPath, file: str, pem: bytes, mark: bytes, what: str
) -> None:
    if mark not in pem:
        raise TlsFault(option, f"{file} holds no {what} in PEM")
    fd = _memory(pem)
    try:
        context.load_verify_locations(cafile=f"/proc/self/fd/{fd}")
    except ssl.SSLError as error:
        raise TlsFault(option, f"a {what} of {file} is damaged ({_words(error)})") from None
    finally:
        os.close(fd)


class _PasswordWanted(Exception):
    """The key is encrypted; without this answer OpenSSL would ask the terminal."""


def _put_pair(
    context: ssl.SSLContext, where: OptionPath, pair: CertificatePlan, octets: tuple[bytes, bytes]
) -> Certificate:
    """Give the context its certificate, of which it returns what is known."""
    chain, key = octets
    try:
        certificate = read_certificate(chain)
    except ValueError as error:
        reason = f"{pair.certificate} cannot be used: {error}"
        raise TlsFault((*where, "certificate"), reason) from None
    if not _KEY.search(key):
        raise TlsFault((*where, "keyfile"), f"{pair.keyfile} holds no private key in PEM")
    chain_fd, key_fd = _memory(chain), _memory(key)

    def password() -> str:
        if not pair.password:
            raise _PasswordWanted
        return pair.password

    try:
        context.load_cert_chain(
            f"/proc/self/fd/{chain_fd}", f"/proc/self/fd/{key_fd}", password=password
        )
    except _PasswordWanted:
        reason = f"{pair.keyfile} is encrypted and needs a password"
        raise TlsFault((*where, "keyfile_password"), reason) from None
    except (ssl.SSLError, ValueError) as error:
        _explain_pair(where, pair, key, error)
    finally:
        os.close(chain_fd)
        os.close(key_fd)
    return certificate


def _explain_pair(
    where: OptionPath, pair: CertificatePlan, key: bytes, error: Exception
) -> NoReturn:
    """Say what was wrong, without a word of the password."""
    said = getattr(error, "reason", "") or ""
    if "MISMATCH" in said or "NO_CERTIFICATE_ASSIGNED" in said:  # the latter: of another kind
        reason = f"{pair.keyfile} is not the key of {pair.certificate}"
        raise TlsFault((*where, "keyfile"), reason) from None
    if pair.password and _SEALED.search(key) and isinstance(error, (ssl.SSLError, ValueError)):
        # OpenSSL has several words for it: whatever it reads with a wrong password is no key.
        fits = "KEY_TOO_SMALL" in said or "MD_TOO_WEAK" in said
        if not fits:
            reason = f"it does not open {pair.keyfile}"
            raise TlsFault((*where, "keyfile_password"), reason) from None
    reason = f"{pair.certificate} and {pair.keyfile} cannot be used ({_words(error)})"
    raise TlsFault((*where, "certificate"), reason) from None


def _words(error: Exception) -> str:
    """What OpenSSL calls the fault."""
    said = getattr(error, "reason", None) or "no reason given"
    return str(said).lower().replace("_", " ")


def _memory(octets: bytes) -> int:
    """A descriptor of a file in memory: OpenSSL reads certificates and keys from files alone."""
    fd = os.memfd_create("tls", os.MFD_CLOEXEC)
    with os.fdopen(fd, "wb", closefd=False) as file:
        file.write(octets)
    return fd


def _seal_tickets(plan: TlsPlan, material: Material, context: ssl.SSLContext) -> bool:
    if not plan.ticket_lifetime_s or not material.ticket_keys:
        return False
    # ctypes costs a daemon without TLS nothing.
    from granian_d.transport.ticket_keys import set_ticket_keys  # noqa: PLC0415 - as above

    return set_ticket_keys(context, material.ticket_keys)
