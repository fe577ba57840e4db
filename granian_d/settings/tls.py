"""The table `ssl`: from its options to a TlsPlan whose files have been tried out.

The planner makes the very contexts that the master will make, and throws them away. So what cannot
be used is found here, with the name of the option, while the service serves on with its old plan.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from granian_d.engine.negotiate import PROTOCOLS
from granian_d.plan.model import CertificatePlan, TlsPlan
from granian_d.settings.credentials import credential_file
from granian_d.settings.kinds import MARK
from granian_d.settings.refusal import Refusal
from granian_d.transport.tls_context import Contexts, TlsFault, read_material

if TYPE_CHECKING:
    from granian_d.plan.model import ClientCertificate
    from granian_d.settings.load import Loaded
    from granian_d.settings.model import Settings
    from granian_d.settings.toml_lines import KeyPath

_OF_NO_USE_ALONE: Final = ("keyfile", "keyfile_password", "ca", "crl", "client_verify", "sni")


def plan_tls(loaded: Loaded) -> TlsPlan | None:
    """The plan, None where no certificate is given.

    Raises:
        ConfigError: an option lacks another one, or a file cannot be used.
    """
    ssl = loaded.settings.ssl
    if ssl.certificate is None:
        for name in _OF_NO_USE_ALONE:
            if getattr(ssl, name):
                raise loaded.refusal(("ssl", name), "is of use with ssl.certificate only")
        return None
    if ssl.keyfile is None:
        raise loaded.refusal(("ssl", "certificate"), "ssl.keyfile is missing: its key")
    for name in ("client_verify", "crl"):
        if getattr(ssl, name) and ssl.ca is None:
            raise loaded.refusal(("ssl", name), "is of use with ssl.ca only")
    if _unknown_here(loaded):
        return None
    plan = _plan(loaded)
    _try(loaded, plan)
    return plan


def tls_remarks(loaded: Loaded) -> list[str]:
    """What its user should know of certificates that can be used all the same."""
    if loaded.settings.ssl.certificate is None:
        return []
    if names := _unknown_here(loaded):
        return [f"ssl: {', '.join(names)} not known here, not examined"]
    plan = _plan(loaded)
    try:
        tried = Contexts(plan, read_material(plan))
    except TlsFault as fault:  # resolve lets it pass in a rehearsal alone
        return [loaded.line(("ssl", *fault.option), f"{fault.reason}; not examined")]
    return [loaded.line(("ssl", *where), line) for where, line in _expired(plan, tried)]


def _expired(plan: TlsPlan, tried: Contexts) -> list[tuple[KeyPath, str]]:
    now = time.time()
    found: list[tuple[KeyPath, str]] = []
    for at, (pair, certificate) in enumerate(
        zip(plan.certificates, tried.certificates, strict=True), start=-1
    ):
        if certificate.not_after < now:
            end = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(certificate.not_after))
            where: KeyPath = ("certificate",) if at < 0 else ("sni", at, "certificate")
            found.append((where, f"{pair.certificate} has expired ({end})"))
    return found


def _try(loaded: Loaded, plan: TlsPlan) -> None:
    """Make contexts of the plan, to see whether it can be done."""
    try:
        Contexts(plan, read_material(plan))
    except TlsFault as fault:
        if loaded.surroundings.rehearsal and fault.denied:
            return  # who examines the settings need not be who may read the key
        raise loaded.refusal(("ssl", *fault.option), fault.reason) from fault


def _plan(loaded: Loaded) -> TlsPlan:
    settings = loaded.settings
    ssl = settings.ssl
    assert ssl.certificate is not None
    assert ssl.keyfile is not None
    first = (("ssl",), ssl.certificate, ssl.keyfile, ssl.keyfile_password)
    others = (
        (("ssl", "sni", at), entry.certificate, entry.keyfile, entry.keyfile_password)
        for at, entry in enumerate(ssl.sni)
    )
    return TlsPlan(
        certificates=tuple(
            CertificatePlan(
                certificate=_file(loaded, (*where, "certificate"), certificate),
                keyfile=_file(loaded, (*where, "keyfile"), keyfile),
                password=password or "",
            )
            for where, certificate, keyfile, password in (first, *others)
        ),
        protocol_min=ssl.protocol_min,
        ciphers=ssl.ciphers,
        ca="" if ssl.ca is None else _file(loaded, ("ssl", "ca"), ssl.ca),
        crls=tuple(_file(loaded, ("ssl", "crl", at), crl) for at, crl in enumerate(ssl.crl)),
        client_certificate=_client_certificate(settings),
        alpn=PROTOCOLS[settings.http],
        handshake_timeout_s=ssl.handshake_timeout,
        ticket_lifetime_s=ssl.ticket_lifetime,
    )


def _client_certificate(settings: Settings) -> ClientCertificate:
    if settings.ssl.ca is None:
        return "none"
    return "required" if settings.ssl.client_verify else "optional"


def _file(loaded: Loaded, path: KeyPath, written: str) -> str:
    """The absolute path of a file, or of a credential's."""
    if not written.startswith(MARK):
        return loaded.beside(path, written)
    try:
        return credential_file(loaded.surroundings.credentials_directory, written)
    except Refusal as error:
        raise loaded.refusal(path, str(error)) from error


def _unknown_here(loaded: Loaded) -> list[str]:
    """Credentials that a rehearsal without their directory cannot know."""
    places = loaded.surroundings
    if not places.rehearsal or places.credentials_directory:
        return []
    ssl = loaded.settings.ssl
    named = [ssl.certificate, ssl.keyfile, ssl.ca, *ssl.crl]
    named += [file for entry in ssl.sni for file in (entry.certificate, entry.keyfile)]
    unknown = [file for file in named if file is not None and MARK in file]
    password = loaded.provenance.secret(("ssl", "keyfile_password"))
    return [*unknown, password] if password else unknown
