"""Certificates as the master has them: contexts for workers to come, and what is new to the others.

Files are looked at once a tick: what stat(2) says of each, through all links, is enough to see a
renewal, however it is done (rename, link, write in place). A certificate and its key are two files,
so they are read when they have stood still from one look to the next. What cannot be used changes
nothing and is told once; the next change is judged anew.

Imported by a master whose plan has TLS: it brings OpenSSL along.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Final, NamedTuple

from granian_d.transport.tls_context import (
    Contexts,
    Material,
    TlsFault,
    encode,
    files,
    read_material,
)

if TYPE_CHECKING:
    from granian_d.plan.model import TlsPlan

TICKET_KEY_BYTES: Final = 80  # of OpenSSL: a name, a key for the MAC, one for the cipher

Stamp = tuple[int, int, int, int] | None  # None: there is no such file now


class Renewal(NamedTuple):
    """What has become of a look.

    Attributes:
        plan: whose workers are concerned.
        material: for them, as `tls_context.encode` writes it; b"" for nothing.
        names: that the certificates are for, when these are new.
        fault: why they could not be renewed.
        unshared: ticket keys cannot be set here.
    """

    plan: TlsPlan
    material: bytes = b""
    names: str = ""
    fault: str = ""
    unshared: bool = False


class Tickets(NamedTuple):
    """The key of session tickets, for who comes after this program.

    Attributes:
        keys: 80 octets, a secret.
        trust: what tells the plan, and whom it lets in, from every other.
        rotate_at: when they are to be replaced, CLOCK_MONOTONIC; 0.0 before the first look.
    """

    keys: bytes
    trust: str
    rotate_at: float


def encode_tickets(tickets: Tickets) -> bytes:
    """The tickets' key as octets."""
    return json.dumps([tickets.keys.hex(), tickets.trust, tickets.rotate_at]).encode("ascii")


def decode_tickets(octets: bytes) -> Tickets | None:
    """The key that `encode_tickets` wrote; None if it was something else."""
    try:
        keys, trust, rotate_at = json.loads(octets)
        tickets = Tickets(bytes.fromhex(keys), str(trust), float(rotate_at))
    except (ValueError, TypeError):
        return None
    return tickets if len(tickets.keys) == TICKET_KEY_BYTES else None


class _Held:
    """What is held for one plan."""

    __slots__ = ("contexts", "judged", "material", "plan", "rotate_at", "seen")

    def __init__(self, plan: TlsPlan, material: Material, judged: list[Stamp]) -> None:
        self.plan = plan
        self.material = material
        self.contexts = Contexts(plan, material)
        self.judged = judged  # the files that were read last, for better or worse
        self.seen = judged  # and those of the last look
        self.rotate_at = 0.0  # unknown until the first look


class Certificates:
    """The contexts of every plan that is in use."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: dict[TlsPlan, _Held] = {}

    def contexts(self, plan: TlsPlan | None) -> Contexts | None:
        """Those of a plan that was adopted."""
        return None if plan is None else self._held[plan].contexts

    def adopt(self, plan: TlsPlan, tickets: Tickets | None = None) -> Renewal | None:
        """Read the files of a plan. One that is known keeps its contexts if they are the same.

        `tickets` hold the key of a program before this one. It is used on, unless the plan is
        another or lets in others: see _renew.

        Raises:
            TlsFault: they cannot be used; nothing has changed.
        """
        judged = _stamps(plan)
        material = read_material(plan)
        held = self._held.get(plan)
        if held is not None:
            renewal = _renew(held, material) if _is_new(held, material) else None
            held.judged = held.seen = judged
            return renewal
        if tickets is not None and tickets.trust == _trust(plan, material):
            held = _Held(plan, material._replace(ticket_keys=tickets.keys), judged)
            held.rotate_at = tickets.rotate_at
        else:
            held = _Held(plan, _with_keys(plan, material), judged)
        self._held[plan] = held
        if plan.ticket_lifetime_s and not held.contexts.shares_tickets:
            return Renewal(plan, unshared=True)
        return None

    def tickets(self, plan: TlsPlan | None) -> Tickets | None:
        """The key in use for a plan; None for none."""
        held = None if plan is None else self._held.get(plan)
        if held is None or not held.material.ticket_keys:
            return None
        keys = held.material.ticket_keys
        return Tickets(keys, _trust(held.plan, held.material), held.rotate_at)

    def retain(self, plan: TlsPlan | None) -> None:
        """Forget all others."""
        self._held = {known: held for known, held in self._held.items() if known == plan}

    def look(self, now: float) -> list[Renewal]:
        """What has changed since the last look. `now` is CLOCK_MONOTONIC."""
        found = [_look(held, now) for held in self._held.values()]
        return [renewal for renewal in found if renewal is not None]


def _look(held: _Held, now: float) -> Renewal | None:
    lifetime_s = held.plan.ticket_lifetime_s
    if not held.rotate_at:
        held.rotate_at = now + lifetime_s
    stamps = _stamps(held.plan)
    before, held.seen = held.seen, stamps
    if stamps not in (held.judged, before):
        return None  # still moving
    if stamps != held.judged:
        held.judged = stamps
        try:
            material = read_material(held.plan)
            return _renew(held, material) if _is_new(held, material) else None
        except TlsFault as fault:
            return Renewal(held.plan, fault=str(fault))
    if lifetime_s and now >= held.rotate_at and held.contexts.shares_tickets:
        held.rotate_at = now + lifetime_s
        return _replace(held, _with_keys(held.plan, held.material))
    return None


def _is_new(held: _Held, material: Material) -> bool:
    return material != held.material._replace(ticket_keys=b"")


def _renew(held: _Held, material: Material) -> Renewal:
    """Put new material in place of the old.

    A ticket tells that its client was let in once. When it is decided anew who is, old ones must
    not count any more.

    Raises:
        TlsFault: it cannot be used; nothing has changed.
    """
    if material.trust == held.material.trust:
        material = material._replace(ticket_keys=held.material.ticket_keys)
    else:
        material = _with_keys(held.plan, material)
    renewal = _replace(held, material)
    names = (", ".join(one.names) or "no name" for one in held.contexts.certificates)
    return renewal._replace(names="; ".join(names))


def _replace(held: _Held, material: Material) -> Renewal:
    held.contexts = Contexts(held.plan, material)
    held.material = material
    return Renewal(held.plan, encode(material))


def _with_keys(plan: TlsPlan, material: Material) -> Material:
    """The material with a fresh key for session tickets, if there are any."""
    keys = os.urandom(TICKET_KEY_BYTES) if plan.ticket_lifetime_s else b""
    return material._replace(ticket_keys=keys)


def _trust(plan: TlsPlan, material: Material) -> str:
    """What tells a plan, and whom it lets in, from every other."""
    facts = json.dumps(asdict(plan), sort_keys=True).encode()
    parts = (facts, material.ca, *material.crls)
    return hashlib.sha256(b"".join(len(part).to_bytes(8) + part for part in parts)).hexdigest()


def _stamps(plan: TlsPlan) -> list[Stamp]:
    """What tells one state of the plan's files from another."""
    return [_stamp(file) for file in files(plan)]


def _stamp(file: str) -> Stamp:
    try:
        facts = os.stat(file)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns
