"""Field blocks that cannot be decoded (RFC 7541): a connection error of type COMPRESSION_ERROR."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conformance.h2 import frames
from tests.conformance.h2.case import Case, Table
from tests.conformance.h2.frames import Code, Setting

if TYPE_CHECKING:
    from tests.conformance.h2.client import Connection

TABLE = Table()
case = TABLE.case


def _undecodable(name: str, title: str, octets: bytes) -> None:
    """A good field block with these octets behind it."""

    def play(connection: Connection):
        connection.send(frames.headers(1, connection.block() + octets))
        connection.connection_error(Code.COMPRESSION_ERROR)

    TABLE.append(Case(f"hpack/{name}", f"7541 {name.partition('/')[0]}", title, play))


# "x-test" Huffman coded as the name of a literal that is not indexed; its value follows.
_NAME = bytes.fromhex("00 85f2b24a84ff")
_EOS = "1" * 30  # RFC 7541 B


def _bits(text: str) -> bytes:
    """A Huffman coded string (RFC 7541 5.2), given as bits; a multiple of 8 of them."""
    octets = int(text, 2).to_bytes(len(text) // 8, "big")
    return bytes([0x80 | len(octets)]) + octets


_T, _E, _S = "01001", "00101", "01000"  # RFC 7541 B: t, e, s

_undecodable("2.3.3/1", "An indexed field beyond both tables (70)", b"\xc6")
_undecodable("2.3.3/2", "A literal field whose name's index is beyond both tables", b"\x7f\x07\x00")
_undecodable("4.2/1", "A table size update behind the fields", b"\x21")
_undecodable(
    "5.2/1",
    "Huffman padding of more than 7 bits",
    _NAME + _bits(_T + _E + _S + _T + "1" * 4 + "1" * 8),
)
_undecodable("5.2/2", "Huffman padding of zeros", _NAME + _bits(_T + _E + _S + _T + "0" * 4))
_undecodable(
    "5.2/3",
    "A Huffman coded string with EOS in it",
    _NAME + _bits(_T + _E + _S + _EOS + _T + "1" * 6),
)
_undecodable("6.1/1", "An indexed field with index 0", b"\x80")


@case("hpack/6.3/1", "7541 6.3")
def table_above_limit(connection: Connection):
    """A table size update above SETTINGS_HEADER_TABLE_SIZE"""
    size = connection.settings[Setting.HEADER_TABLE_SIZE] + 1
    connection.send(frames.headers(1, _integer(0x20, 5, size) + connection.block()))
    connection.connection_error(Code.COMPRESSION_ERROR)


def _integer(first: int, bits: int, value: int) -> bytes:
    """An integer with a prefix of so many bits in an octet that begins with `first`: 7541 5.1."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([first | value])
    octets = [first | limit]
    value -= limit
    while value >= 128:
        octets.append(value & 127 | 128)
        value >>= 7
    return bytes([*octets, value])
