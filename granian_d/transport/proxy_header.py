"""The header of the PROXY protocol, versions 1 and 2: octets in, the ends of a connection out.

The specification is proxy-protocol.txt of HAProxy; sections are its own. Version 1 is a line of
text (2.1), version 2 is binary and may carry more in type-length-value vectors (2.2). Rules of
this file: no I/O and no state; nothing is guessed and nothing repaired, for who is behind a proxy
is a question of access rights.
"""

from __future__ import annotations

import os
import re
import struct
from functools import cache
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import TYPE_CHECKING, Final, NamedTuple

from granian_d.errors import HeadTooLarge, ProtocolViolation

if TYPE_CHECKING:
    from collections.abc import Iterator

Client = tuple[str, int] | None
Server = tuple[str, int | None] | None

LONGEST_LINE: Final = 107  # octets with CRLF (2.1)
# Of a version 2 header, which could say 65551: one with every vector that is registered stays
# below 2 KiB, but for a client's certificate.
LONGEST_BLOCK: Final = 8192

TEXT_MARK: Final = b"PROXY "
SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED_BYTES: Final = 16  # signature, version and command, family and transport, length
_LOCAL: Final = 0x20
_PROXY: Final = 0x21
_UNSPEC: Final = 0
_STREAM: Final = 1
_DGRAM: Final = 2
_UNIX: Final = 3
_PATH_BYTES: Final = 108  # sun_path
_IP: Final = {1: (AF_INET, struct.Struct("!4s4sHH")), 2: (AF_INET6, struct.Struct("!16s16sHH"))}

_CRC32C: Final = 0x03  # PP2_TYPE_CRC32C
_SSL: Final = 0x20  # PP2_TYPE_SSL
_CLIENT_SSL: Final = 0x01  # PP2_CLIENT_SSL
_SSL_FIXED_BYTES: Final = 5  # client, verify

_PORT: Final = rb"(0|[1-9][0-9]{0,4})"
_LINE: Final = re.compile(
    rb"PROXY (?:UNKNOWN(?: [^\r\n]*)?|TCP([46]) ([^ ]+) ([^ ]+) " + _PORT + b" " + _PORT + rb")\r\n"
)
_MAX_PORT: Final = 65535


class Proxied(NamedTuple):
    """What a header says.

    Attributes:
        size: octets of the header; the proxied connection's own begin behind them.
        ends: client and server as `http.message.Peer` has them. None where the connection's own
            count: it is the proxy that speaks for itself (LOCAL), or for it does not know whom.
        secure: the client speaks TLS with the proxy (PP2_CLIENT_SSL).
    """

    size: int
    ends: tuple[Client, Server] | None
    secure: bool = False


def read_header(data: bytes) -> Proxied | None:
    """The header that `data` begins with; None when more octets are needed to tell.

    Raises:
        ProtocolViolation: it begins with none, or with a malformed one.
        HeadTooLarge: the header is longer than is taken.
    """
    if data.startswith(TEXT_MARK):
        return _read_line(data)
    if data.startswith(SIGNATURE):
        return _read_block(data)
    if TEXT_MARK.startswith(data) or SIGNATURE.startswith(data):
        return None
    raise ProtocolViolation("a connection that does not begin with a PROXY header", "PROXY 2")


# --- version 1 -----------------------------------------------------------------------------------


def _read_line(data: bytes) -> Proxied | None:
    end = data.find(b"\n", 0, LONGEST_LINE) + 1
    if not end:
        if len(data) >= LONGEST_LINE:
            raise HeadTooLarge("a PROXY line without its end", "PROXY 2.1")
        return None
    match = _LINE.fullmatch(data, 0, end)
    if match is None:
        raise ProtocolViolation("a malformed PROXY line", "PROXY 2.1")
    version, *texts = match.groups()
    if version is None:  # UNKNOWN: what stands behind it is to be ignored
        return Proxied(end, None)
    client, server, client_port, server_port = texts
    family = AF_INET if version == b"4" else AF_INET6
    return Proxied(
        end,
        (
            (_address(family, client), _port(client_port)),
            (_address(family, server), _port(server_port)),
        ),
    )


def _address(family: int, text: bytes) -> str:
    """The address in its one canonical form."""
    try:
        return inet_ntop(family, inet_pton(family, text.decode("ascii")))
    except (OSError, ValueError) as error:
        raise ProtocolViolation("an invalid address in a PROXY line", "PROXY 2.1") from error


def _port(digits: bytes) -> int:
    port = int(digits)
    if port > _MAX_PORT:
        raise ProtocolViolation("an invalid port in a PROXY line", "PROXY 2.1")
    return port


# --- version 2 -----------------------------------------------------------------------------------


def _read_block(data: bytes) -> Proxied | None:
    if len(data) < _FIXED_BYTES:
        return None
    command, family = data[12], data[13] >> 4
    transport, size = data[13] & 15, _FIXED_BYTES + int.from_bytes(data[14:16], "big")
    if command not in {_LOCAL, _PROXY}:
        raise ProtocolViolation("a PROXY header of another version or command", "PROXY 2.2")
    if size > LONGEST_BLOCK:
        raise HeadTooLarge("a PROXY header that is too long", "PROXY 2.2")
    if len(data) < size:
        return None
    if command == _LOCAL:  # whatever else stands in it is to be discarded
        return Proxied(size, None)
    if family > _UNIX or transport > _DGRAM:
        raise ProtocolViolation("a PROXY header of another family or transport", "PROXY 2.2")
    if _UNSPEC in {family, transport}:
        return Proxied(size, None)
    ends, at = _read_ends(data[:size], family)
    return Proxied(size, ends, _read_vectors(data[:size], at))


def _read_ends(header: bytes, family: int) -> tuple[tuple[Client, Server], int]:
    """The two ends, and where the vectors begin. A datagram's client (of HTTP/3) has the same."""
    try:
        if family == _UNIX:
            _, path = struct.unpack_from(f"{_PATH_BYTES}s{_PATH_BYTES}s", header, _FIXED_BYTES)
            return (None, (_path(path), None)), _FIXED_BYTES + 2 * _PATH_BYTES
        number, form = _IP[family]
        client, server, client_port, server_port = form.unpack_from(header, _FIXED_BYTES)
    except struct.error as error:
        raise ProtocolViolation("a PROXY header without its addresses", "PROXY 2.2") from error
    return (
        (inet_ntop(number, client), client_port),
        (inet_ntop(number, server), server_port),
    ), _FIXED_BYTES + form.size


def _path(name: bytes) -> str:
    """The path of a unix socket; an abstract name, which begins with a NUL, as @name."""
    if name.startswith(b"\0"):
        name = name[1:].rstrip(b"\0")
        return "@" + os.fsdecode(name) if name else ""
    return os.fsdecode(name.partition(b"\0")[0])


def _read_vectors(header: bytes, at: int) -> bool:
    """Check the vectors (2.2.1 and following); whether the client speaks TLS with the proxy."""
    secure = False
    for kind, start, end in _vectors(header, at):
        if kind == _CRC32C:
            _check_sum(header, start, end)
        elif kind == _SSL:
            if end - start < _SSL_FIXED_BYTES:
                raise ProtocolViolation("a PROXY header with a malformed vector", "PROXY 2.2.6")
            secure = bool(header[start] & _CLIENT_SSL)
    return secure


def _vectors(header: bytes, at: int) -> Iterator[tuple[int, int, int]]:
    """Type, start and end of each vector."""
    while at < len(header):
        start = at + 3
        end = start + int.from_bytes(header[at + 1 : start], "big")
        if end > len(header):
            raise ProtocolViolation("a PROXY header with a malformed vector", "PROXY 2.2")
        yield header[at], start, end
        at = end


def _check_sum(header: bytes, start: int, end: int) -> None:
    """The checksum is that of the header with zeros in its place (2.2.3)."""
    blank = header[:start] + bytes(end - start) + header[end:]
    if header[start:end] != crc32c(blank).to_bytes(4, "big"):
        raise ProtocolViolation("a PROXY header with a wrong checksum", "PROXY 2.2.3")


def crc32c(data: bytes) -> int:
    """CRC-32C (RFC 9260 appendix A)."""
    table = _crc_table()
    crc = 0xFFFFFFFF
    for octet in data:
        crc = table[(crc ^ octet) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


@cache
def _crc_table() -> tuple[int, ...]:
    table = []
    for octet in range(256):
        crc = octet
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return tuple(table)
