"""PROXY headers as a proxy would write them."""

from __future__ import annotations

import struct
from socket import AF_INET, AF_INET6, inet_pton

from granian_d.transport.proxy_header import SIGNATURE

NOOP, UNIQUE_ID, CRC32C, SSL = 0x04, 0x05, 0x03, 0x20


def line(client, server) -> bytes:
    """Version 1."""
    family = "TCP6" if ":" in client[0] else "TCP4"
    return f"PROXY {family} {client[0]} {server[0]} {client[1]} {server[1]}\r\n".encode()


def block(family=0, addresses=b"", *vectors, command=0x21, transport=1, length=None) -> bytes:
    """Version 2, of any content."""
    content = addresses + b"".join(vectors)
    size = len(content) if length is None else length
    return SIGNATURE + bytes([command, family << 4 | transport]) + struct.pack("!H", size) + content


def vector(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


def tls_vector(client_bits: int) -> bytes:
    version = vector(0x21, b"TLSv1.3")
    return vector(SSL, struct.pack("!BL", client_bits, 1) + version)


def ip_block(client, server, *vectors, transport=1) -> bytes:
    """Version 2, of two IP addresses."""
    family = AF_INET6 if ":" in client[0] else AF_INET
    addresses = inet_pton(family, client[0]) + inet_pton(family, server[0])
    ports = struct.pack("!HH", client[1], server[1])
    number = 2 if family == AF_INET6 else 1
    return block(number, addresses + ports, *vectors, transport=transport)


def unix_block(client: bytes, server: bytes, *vectors) -> bytes:
    return block(3, client.ljust(108, b"\0") + server.ljust(108, b"\0"), *vectors)


def crc32c_bitwise(data: bytes) -> int:
    """CRC-32C by its definition, bit by bit."""
    crc = 0xFFFFFFFF
    for octet in data:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def with_checksum(client, server, *vectors) -> bytes:
    """Version 2 with a checksum as its last vector."""
    blank = ip_block(client, server, *vectors, vector(CRC32C, bytes(4)))
    return blank[:-4] + crc32c_bitwise(blank).to_bytes(4, "big")
