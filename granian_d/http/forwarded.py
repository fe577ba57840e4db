"""For whom a request is made, as the proxies between say: X-Forwarded-* or Forwarded (RFC 7239).

Each proxy appends to a list whom it asks for, so the list is read from its end: the last entry was
written by the peer itself, the one before it by whom that names, and so on. What somebody says
counts if its address is believed (`plan.ForwardingPlan`). So the client is the first from the right
who is not believed, or the leftmost of all; what stands further left anybody can have written.

Of the two families of fields one is read, as configured: a proxy as a rule writes one and lets the
other pass, which is then the client's own. An entry that is malformed ends the walk, as if the list
began behind it; the request goes on. What was made of a request's fields is kept with the
connection, for a proxy often asks for one client several times in a row.
"""

from __future__ import annotations

import re
from itertools import islice
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import TYPE_CHECKING, Final, NamedTuple

from granian_d.errors import ProtocolViolation
from granian_d.http.fields import OWS, TOKEN_PATTERN, values
from granian_d.http.message import Peer
from granian_d.http.semantics import check_authority

if TYPE_CHECKING:
    from collections.abc import Iterator

    from granian_d.http.message import Fields, RequestHead
    from granian_d.plan import ForwardingPlan
    from granian_d.plan.model import ForwardedFields

Client = tuple[str, int]

MOST_HOPS: Final = 32  # entries that are looked at: no chain is as long, and none costs more
LONGEST: Final = 4096  # octets of Forwarded that are looked at, from the right
MOST_TRIES: Final = 4 * MOST_HOPS  # commas of Forwarded: some may be inside quotes

_NAMES: Final[dict[ForwardedFields, frozenset[bytes]]] = {
    "x-forwarded": frozenset(
        b"x-forwarded-" + name for name in (b"for", b"proto", b"host", b"port")
    ),
    "forwarded": frozenset({b"forwarded"}),
}
_SCHEMES: Final = {b"http": "http", b"https": "https", b"ws": "http", b"wss": "https"}
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_MAX_PORT: Final = 65535
_MAPPED: Final = (
    bytes(10) + b"\xff\xff"
)  # ::ffff:0:0/96, an IPv4 address in IPv6 (RFC 4291 2.5.5.2)

# RFC 7239 6: an address with perhaps a port, either of which may be hidden or unknown.
_HIDDEN: Final = rb"_[A-Za-z0-9._\-]+"
_NODE: Final = re.compile(
    rb"(?:(?P<v4>[0-9.]{7,15})|\[(?P<v6>[0-9A-Fa-f]*:[0-9A-Fa-f:.]+)\]|unknown|" + _HIDDEN + rb")"
    rb"(?::(?:(?P<port>[0-9]{1,5})|" + _HIDDEN + rb"))?",
    re.IGNORECASE,
)
# X-Forwarded-For has no grammar of its own; an IPv6 address often stands there without brackets.
_BARE_V6: Final = re.compile(rb"[0-9A-Fa-f:.]{2,45}")

# RFC 7239 4, RFC 9110 5.6.4. An entry without a parameter says nothing, and is taken for malformed.
_QUOTED: Final = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
_PAIR_PATTERN: Final = TOKEN_PATTERN + rb"=(?:" + TOKEN_PATTERN + rb"|" + _QUOTED + rb")"
_ENTRY: Final = re.compile(
    rb"[ \t]*;*" + _PAIR_PATTERN + rb"(?:;+" + _PAIR_PATTERN + rb")*;*[ \t]*"
)
_PAIR: Final = re.compile(
    rb"(" + TOKEN_PATTERN + rb")=(?:(" + TOKEN_PATTERN + rb")|(" + _QUOTED + rb"))"
)
_ESCAPED: Final = re.compile(rb"\\(.)", re.DOTALL)


class Hop(NamedTuple):
    """What one proxy says of the request as it came to it.

    Attributes:
        client: who sent it, port 0 if that is not known; None when it is not told.
        proto: the scheme, b"" if not told, as all that follows; not judged yet.
        host: the Host field.
        port: of the proxy, where the client has sent it.
    """

    client: Client | None
    proto: bytes = b""
    host: bytes = b""
    port: bytes = b""


def peer_of(head: RequestHead, peer: Peer, plan: ForwardingPlan) -> Peer:
    """The two ends that the application is to see of a request: those told, or the connection's.

    The same Peer comes back for the same fields of consecutive requests.
    """
    names = _NAMES[plan.fields]
    found = [field for field in head.fields if field[0] in names]
    if not found:
        return peer
    memo = peer.forwarded
    if memo is None or memo[0] != found:
        seen = _seen(found, peer, plan) if believes(plan, peer.client) else peer
        memo = peer.forwarded = (found, None if seen is peer else seen)  # without a cycle
    return memo[1] or peer


def believes(plan: ForwardingPlan, client: Client | None) -> bool:
    """Whether counts what somebody says; None is a peer on a unix socket."""
    if plan.everyone:
        return True
    if client is None:
        return plan.unix
    packed = _pack(client[0])
    bits, number = 8 * len(packed), int.from_bytes(packed, "big")
    return any(net.bits == bits and net.first <= number <= net.last for net in plan.networks)


def _seen(found: Fields, peer: Peer, plan: ForwardingPlan) -> Peer:
    """The ends as the fields have them, or `peer` itself where they say nothing new."""
    client = peer.client
    said = Hop(None)
    for said in islice(_READERS[plan.fields](found), MOST_HOPS):
        if said.client is None:
            break  # its proxy is believed, whom it asks for remains unknown
        client = said.client
        if not believes(plan, client):
            break
    scheme = _SCHEMES.get(said.proto.lower(), peer.scheme)
    server = _server(said, peer, scheme)
    if (client, server, scheme) == (peer.client, peer.server, peer.scheme):
        return peer
    return Peer(client, server, scheme, peer.tls)


def _server(said: Hop, peer: Peer, scheme: str) -> tuple[str, int | None] | None:
    """Our end as the client sees it: that of the proxy it speaks to, where it is told."""
    server = peer.server
    port = int(said.port) if re.fullmatch(rb"[0-9]{1,5}", said.port) else 0
    if port > _MAX_PORT:
        port = 0
    if said.host:
        try:
            check_authority(said.host, "a forwarded host")
        except ProtocolViolation:
            return server
        name, colon, digits = said.host.decode("latin-1").rpartition(":")
        if not colon or not digits.isdigit():  # no port, perhaps an IPv6 address
            name, digits = said.host.decode("latin-1").removesuffix(":"), ""
        return name.strip("[]"), port or int(digits or _DEFAULT_PORTS[scheme])
    if port and server is not None and server[1] is not None:
        return server[0], port
    return server


# --- X-Forwarded-* -------------------------------------------------------------------------------


def _x_forwarded_hops(found: Fields) -> Iterator[Hop]:
    """What each proxy says, the nearest first.

    Scheme, host and port belong to the entry at the same place of their lists, if these have as
    many entries as there are addresses; otherwise only the last ones surely come from the peer.
    """
    clients, *others = (
        _last_entries(found, b"x-forwarded-" + name)
        for name in (b"for", b"proto", b"host", b"port")
    )
    if not clients:
        yield Hop(None, *(entries[-1] if entries else b"" for entries in others))
    for at in range(len(clients) - 1, -1, -1):
        facts = [
            entries[at] if len(entries) == len(clients) else entries[-1] if entries else b""
            for entries in others
        ]
        try:
            client = _read_client(clients[at])
        except ValueError:
            if at == len(clients) - 1:
                yield Hop(None, *facts)
            return
        yield Hop(client, *facts)


def _last_entries(found: Fields, name: bytes) -> list[bytes]:
    """The entries of a list, as far as they are looked at; before them the rest, as one."""
    lines = values(found, name)
    if not lines:
        return []
    return [entry.strip(OWS) for entry in b",".join(lines).rsplit(b",", MOST_HOPS)]


def _read_client(text: bytes) -> Client | None:
    if text.count(b":") > 1 and _BARE_V6.fullmatch(text):
        text = b"[" + text + b"]"
    return _read_node(text)


# --- Forwarded -----------------------------------------------------------------------------------


def _forwarded_hops(found: Fields) -> Iterator[Hop]:
    """What each proxy says, the nearest first.

    Read from the right: an entry is the shortest well-formed text behind a comma. From the left a
    quote that a client has left open would swallow what proxies append to it.
    """
    text = b",".join(values(found, b"forwarded"))
    if len(text) > LONGEST:
        text = text[-LONGEST:].partition(b",")[2]
    end = start = len(text)
    for _ in range(MOST_TRIES):
        start = text.rfind(b",", 0, start)
        if _ENTRY.fullmatch(text, start + 1, end):
            try:
                yield _read_entry(text[start + 1 : end])
            except ValueError:
                return
            end = start
        if start < 0:
            return


def _read_entry(text: bytes) -> Hop:
    """One entry.

    Raises:
        ValueError: a parameter comes twice (RFC 7239 4), or there is no such address.
    """
    said: dict[bytes, bytes] = {}
    for name, token, quoted in _PAIR.findall(text):
        if name.lower() in said:
            raise ValueError(text)
        said[name.lower()] = token or _ESCAPED.sub(rb"\1", quoted[1:-1])
    client = _read_node(said[b"for"]) if b"for" in said else None
    return Hop(client, said.get(b"proto", b""), said.get(b"host", b""))


# --- addresses -----------------------------------------------------------------------------------


def _read_node(text: bytes) -> Client | None:
    """An address and its port, 0 if hidden or not told; None for a hidden address.

    Raises:
        ValueError: it is none (RFC 7239 6).
    """
    match = _NODE.fullmatch(text)
    if match is None:
        raise ValueError(text)
    port = int(match["port"] or 0)
    if port > _MAX_PORT:
        raise ValueError(text)
    host = match["v4"] or match["v6"]
    if host is None:
        return None
    packed = _pack(host.decode("ascii"))
    return inet_ntop(AF_INET if len(packed) == 4 else AF_INET6, packed), port


def _pack(host: str) -> bytes:
    """An address in 4 or 16 octets; IPv4 in IPv6 is IPv4, a zone is left out.

    Raises:
        ValueError: it is none.
    """
    try:
        packed = inet_pton(AF_INET6 if ":" in host else AF_INET, host.partition("%")[0])
    except OSError as error:
        raise ValueError(host) from error
    return packed[12:] if packed.startswith(_MAPPED) and len(packed) == 16 else packed


_READERS: Final = {"x-forwarded": _x_forwarded_hops, "forwarded": _forwarded_hops}
