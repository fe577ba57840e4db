"""permessage-deflate (RFC 7692), the client's side of it."""

from __future__ import annotations

import zlib
from typing import NamedTuple

from tests.conformance.websocket.frames import Violation

NAME = "permessage-deflate"
TAIL = b"\x00\x00\xff\xff"  # ends each message and is left out on the wire (section 7.2.1)
EMPTY = b"\x00"  # a message of no octets (section 7.2.3.6)

SERVER_ALONE, CLIENT_ALONE = "server_no_context_takeover", "client_no_context_takeover"
SERVER_BITS, CLIENT_BITS = "server_max_window_bits", "client_max_window_bits"


class Offer(NamedTuple):
    """What the client offers.

    Attributes:
        alone: the server is asked to make each of its messages readable without those before it.
        bits: binary logarithm of the largest window that the server may use; 0 leaves it open.
        we_alone: the client says that it could do the same.
        our_bits: its own largest window; 0 leaves it to the server; None does not offer to limit it.
    """

    alone: bool = False
    bits: int = 0
    we_alone: bool = True
    our_bits: int | None = 0

    def __str__(self) -> str:
        said = [NAME]
        said += [CLIENT_ALONE] * self.we_alone
        if self.our_bits is not None:
            said.append(f"{CLIENT_BITS}={self.our_bits}" if self.our_bits else CLIENT_BITS)
        said += [SERVER_ALONE] * self.alone
        said += [f"{SERVER_BITS}={self.bits}"] * bool(self.bits)
        return "; ".join(said)

    def is_met_by(self, answer: dict[str, str]) -> bool:
        """The server's answer can be one to this offer (sections 7.1.1 and 7.1.2)."""
        if self.alone and SERVER_ALONE not in answer:
            return False
        if self.our_bits is None and CLIENT_BITS in answer:
            return False
        return not self.bits or int(answer.get(SERVER_BITS, 16)) <= self.bits


class Agreement(NamedTuple):
    """What holds on a connection: both windows (binary logarithms), and who starts each anew."""

    our_bits: int
    their_bits: int
    we_forget: bool
    they_forget: bool


def agree(answer: str, offers: tuple[Offer, ...]) -> Agreement:
    """What the server has agreed to.

    Args:
        answer: value of its Sec-WebSocket-Extensions.
        offers: what it was offered, in order of preference.

    Raises:
        Violation: that is no answer to any of the offers.
    """
    parameters = _parse(answer)
    met = [offer for offer in offers if offer.is_met_by(parameters)]
    if not met:
        raise Violation(f"{answer} grants none of the offers")
    return Agreement(
        # What a client offers for itself it keeps to, whatever is answered (section 7.1.2.2).
        our_bits=min(int(parameters.get(CLIENT_BITS, 15)), met[0].our_bits or 15),
        their_bits=int(parameters.get(SERVER_BITS, 15)),
        we_forget=CLIENT_ALONE in parameters,
        they_forget=SERVER_ALONE in parameters,
    )


def _parse(answer: str) -> dict[str, str]:
    name, *parameters = (part.strip() for part in answer.split(";"))
    if name != NAME:
        raise Violation(f"an extension that was not offered: {answer}")
    found: dict[str, str] = {}
    for parameter in parameters:
        key, equals, value = (part.strip().strip('"') for part in parameter.partition("="))
        if key in found:
            raise Violation(f"{key} twice in {answer}")
        if key in {SERVER_BITS, CLIENT_BITS}:
            if value not in map(str, range(8, 16)):
                raise Violation(f"no number of bits in {parameter}")
        elif key not in {SERVER_ALONE, CLIENT_ALONE} or equals:
            raise Violation(f"{parameter} is no parameter of an answer")
        found[key] = value
    return found


class Codec:
    """Compresses what we send, decompresses what we receive.

    Args:
        agreed: what `agree` has returned.
    """

    def __init__(self, agreed: Agreement) -> None:
        if agreed.our_bits == 8:
            raise Violation("a window of 8 bits: allowed, but zlib can not compress with it")
        self._agreed = agreed
        self._compressor = self._new_compressor()
        self._decompressor = self._new_decompressor()

    def _new_compressor(self) -> zlib._Compress:
        return zlib.compressobj(wbits=-self._agreed.our_bits)

    def _new_decompressor(self) -> zlib._Decompress:
        return zlib.decompressobj(wbits=-self._agreed.their_bits)

    def compress(self, payload: bytes) -> bytes:
        """Payload of a compressed message."""
        if self._agreed.we_forget:
            self._compressor = self._new_compressor()
        data = self._compressor.compress(payload) + self._compressor.flush(zlib.Z_SYNC_FLUSH)
        return data.removesuffix(TAIL) or EMPTY

    def decompress(self, payload: bytes) -> bytes:
        """What a compressed message says.

        zlib allows a reference to anything in its window or in the output of the running call. So
        the output is fetched in parts of the window's size: a reference beyond two windows fails.

        Raises:
            Violation: it is no deflate, or it refers to what the server has agreed to forget.
        """
        if self._agreed.they_forget:
            self._decompressor = self._new_decompressor()
        parts, rest = [], payload + TAIL
        try:
            while rest:
                parts.append(self._decompressor.decompress(rest, 1 << self._agreed.their_bits))
                rest = self._decompressor.unconsumed_tail
                if self._decompressor.eof:
                    raise Violation("a final block (RFC 7692, 7.2.3.4), which is not followed here")
            parts.append(self._decompressor.decompress(b""))
        except zlib.error as error:
            raise Violation(f"compressed data that can not be read: {error}") from error
        return b"".join(parts)
