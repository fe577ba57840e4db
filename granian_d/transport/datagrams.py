"""What a UDP socket is told and tells beside its payload: options, control messages.

Linux joins datagrams of one size and one peer: several leave in one call (UDP_SEGMENT) and arrive
in one (UDP_GRO), so that most of what the kernel does is done once for all of them. See udp(7).
"""

from __future__ import annotations

import contextlib
import socket
import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Controls = list[tuple[int, int, bytes]]  # as sendmsg and recvmsg have them

# linux/udp.h, linux/in.h, linux/in6.h: Python names none of these.
_UDP_SEGMENT: Final = 103
_UDP_GRO: Final = 104
_IP_PKTINFO: Final = 8
_IP_MTU_DISCOVER: Final = 10
_IPV6_MTU_DISCOVER: Final = 23
_PMTUDISC_PROBE: Final = 3

DATAGRAM_BYTES: Final = 65535  # what may come at once, joined or not
# Room for control messages: the two that are asked for take 64 octets, the others are those that a
# unit may have asked for (Timestamping=, PassCredentials=, PassSecurity=).
CONTROL_BYTES: Final = 512

# What the kernel joins at most (UDP_MAX_SEGMENTS of 4.18 and later), and the payload of a datagram
# of IPv4.
MOST_JOINED: Final = 64
MOST_JOINED_BYTES: Final = 65507

# Buffers of a socket. The kernel counts about twice the payload, and keeps to net.core.rmem_max and
# wmem_max. What arrives while an application holds up the loop is lost beyond the first: 4 MiB are
# 15 ms of 1 Gbit/s. The second is one window of a fast peer, and 16 calls that are full.
RECEIVE_BYTES: Final = 4 * 1024 * 1024
SEND_BYTES: Final = 1024 * 1024

_WILDCARDS: Final = frozenset(("0.0.0.0", "::"))  # noqa: S104 - only compared with
_INT: Final = struct.Struct("=i")
_SHORT: Final = struct.Struct("=H")
_IN_PKTINFO: Final = struct.Struct("=i4s4s")  # interface, our address, the packet's destination
_IN6_PKTINFO: Final = struct.Struct("=16si")


def tune(sock: socket.socket) -> bool:
    """Set the options of a bound UDP socket; whether it is bound to all addresses of its family.

    Then it tells with each datagram which one it was sent to, and answers must say it.
    """
    grow(sock, socket.SO_RCVBUF, RECEIVE_BYTES)
    grow(sock, socket.SO_SNDBUF, SEND_BYTES)
    # No fragments (RFC 9000 14), and no belief in what ICMP says of the path, which anybody can
    # forge (14.2.1): DO would keep to that, and refuse all that QUIC sends. Hence PROBE.
    six = sock.family == socket.AF_INET6
    if six:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_PROBE)
    with contextlib.suppress(OSError):  # of IPv6, if it takes no IPv4
        sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_PROBE)
    with contextlib.suppress(OSError):  # Linux 5.0
        sock.setsockopt(socket.IPPROTO_UDP, _UDP_GRO, 1)
    if sock.getsockname()[0] not in _WILDCARDS:
        return False
    if six:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
    return True


def grow(sock: socket.socket, option: int, size: int) -> None:
    """Make a buffer of a socket larger.

    Somebody may have given it more (ReceiveBuffer= of systemd.socket(5)).
    """
    if sock.getsockopt(socket.SOL_SOCKET, option) < 2 * size:  # the kernel doubles what it is told
        sock.setsockopt(socket.SOL_SOCKET, option, size)


def can_join(sock: socket.socket) -> bool:
    """Whether the kernel knows how to part what we join (Linux 4.18).

    One that does not would pass over the control message, and send all as one datagram.
    """
    try:
        sock.getsockopt(socket.IPPROTO_UDP, _UDP_SEGMENT)
    except OSError:
        return False
    return True


def read_controls(controls: Iterable[tuple[int, int, bytes]]) -> tuple[int, str]:
    """What came with a datagram: the size of those that it was joined of (0: it is one), and our
    address that it was sent to ("": not told).
    """
    size, local = 0, ""
    for level, kind, content in controls:
        if level == socket.IPPROTO_UDP and kind == _UDP_GRO:
            (size,) = _INT.unpack(content)
        elif (level == socket.IPPROTO_IP and kind == _IP_PKTINFO) or (
            level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO
        ):
            local = _address(content)
    return size, local


@lru_cache(maxsize=64)
def _address(content: bytes) -> str:
    """Our address in a packet's information."""
    if len(content) == _IN_PKTINFO.size:
        return socket.inet_ntop(socket.AF_INET, _IN_PKTINFO.unpack(content)[1])
    return socket.inet_ntop(socket.AF_INET6, _IN6_PKTINFO.unpack(content)[0])


@lru_cache(maxsize=64)
def source(family: int, local: str) -> Controls:
    """The control message with which a datagram leaves from one of our addresses.

    The interface is left to the routes; for an address of a link the peer's names it.
    """
    if family == socket.AF_INET6:
        content = _IN6_PKTINFO.pack(socket.inet_pton(family, local), 0)
        return [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, content)]
    address = socket.inet_pton(family, local)
    return [(socket.IPPROTO_IP, _IP_PKTINFO, _IN_PKTINFO.pack(0, address, bytes(4)))]


def segments(size: int) -> tuple[int, int, bytes]:
    """The control message with which the payload of a call leaves in datagrams of `size`."""
    return (socket.IPPROTO_UDP, _UDP_SEGMENT, _SHORT.pack(size))


def run_end(datagrams: Sequence[bytes], start: int) -> int:
    """Where those end that may leave joined with the one at `start`: the last may be smaller."""
    size = total = len(datagrams[start])
    end = min(start + MOST_JOINED, len(datagrams))
    for at in range(start + 1, end):
        length = len(datagrams[at])
        total += length
        if length > size or total > MOST_JOINED_BYTES:
            return at
        if length < size:
            return at + 1
    return end
