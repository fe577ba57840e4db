"""What a client sends, as whole messages: frames are read by wsproto, limits are kept here.

wsproto asks its extensions what they think of each frame, as soon as its header is there. So what
is judged here is an extension, too: `_Gate`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from wsproto.extensions import Extension
from wsproto.frame_protocol import (
    CloseReason,
    FrameDecoder,
    FrameProtocol,
    MessageDecoder,
    Opcode,
    ParseFailed,
    RsvBits,
)

from granian_d.engine.pure.ws_deflate import Inflater
from granian_d.errors import BodyTooLarge, InvalidText, ProtocolViolation

if TYPE_CHECKING:
    from granian_d.http.handshake import Deflate
    from granian_d.plan.model import WebSocketLimits

_NO_BITS: Final = RsvBits(rsv1=False, rsv2=False, rsv3=False)
_COMPRESSED: Final = RsvBits(rsv1=True, rsv2=False, rsv3=False)


class Arrival(NamedTuple):
    """A whole message or control frame; text is str."""

    opcode: Opcode
    payload: bytes | str


class Intake:
    """Reads what arrives, piece by piece."""

    __slots__ = ("_frames", "_messages", "_parts")

    def __init__(self, limits: WebSocketLimits, deflate: Deflate | None) -> None:
        self._frames = FrameDecoder(client=False, extensions=[_Gate(limits, deflate)])
        self._messages = MessageDecoder()
        self._parts: list[Any] = []  # of one message: all of them str, or all bytes

    def append(self, data: bytes) -> None:
        """Keep what has arrived until `take` asks for it."""
        self._frames.receive_bytes(data)

    def take(self) -> Arrival | None:
        """The next of what is here; None when it is not here as a whole.

        Raises:
            ProtocolViolation: the client broke a rule; its class has the close code.
        """
        try:
            while (frame := self._frames.process_buffer()) is not None:
                if frame.opcode.iscontrol():
                    assert isinstance(frame.payload, bytes)
                    return Arrival(frame.opcode, frame.payload)
                frame = self._messages.process_frame(frame)
                self._parts.append(frame.payload)
                if frame.message_finished:
                    return self._message(frame.opcode)
        except ParseFailed as error:
            raise _VIOLATIONS[error.code]("a frame that breaks the protocol") from error
        return None

    def _message(self, opcode: Opcode) -> Arrival:
        parts, self._parts = self._parts, []
        if opcode is Opcode.TEXT:
            return Arrival(opcode, "".join(parts))
        return Arrival(opcode, b"".join(parts))


_VIOLATIONS: Final[dict[int, type[ProtocolViolation]]] = {
    kind.close_code: kind for kind in (ProtocolViolation, InvalidText, BodyTooLarge)
}


class _Gate(Extension):
    """Judges headers, counts what messages come to, and inflates them."""

    name = "permessage-deflate"

    def __init__(self, limits: WebSocketLimits, deflate: Deflate | None) -> None:
        self._limits = limits
        self._inflater = None if deflate is None else Inflater(deflate)
        self._in_message = False
        self._is_compressed = False  # the message
        self._is_control = False  # the frame
        self._size = 0  # of the message so far

    def offer(self) -> bool | str:
        """Nothing is offered: the handshake is ours."""
        return False

    def frame_inbound_header(
        self,
        proto: FrameDecoder | FrameProtocol,  # noqa: ARG002 - wsproto's signature
        opcode: Opcode,
        rsv: RsvBits,
        payload_length: int,
    ) -> CloseReason | RsvBits:
        """Whether a frame may come that says this of itself; which bits it may have.

        Asked again when the header was not whole, so nothing is remembered that would answer
        another way then.
        """
        self._is_control = opcode.iscontrol()
        if self._is_control:
            return _NO_BITS
        first = not self._in_message
        if (opcode is Opcode.CONTINUATION) == first:
            return CloseReason.PROTOCOL_ERROR  # RFC 6455 5.4
        if rsv != _NO_BITS and (rsv != _COMPRESSED or not first or self._inflater is None):
            return CloseReason.PROTOCOL_ERROR  # RFC 6455 5.2, RFC 7692 6
        if first:
            self._is_compressed = rsv.rsv1
        limits = self._limits
        if limits.frame_bytes and payload_length > limits.frame_bytes:
            return CloseReason.MESSAGE_TOO_BIG
        if not self._is_compressed and 0 <= self._most() < payload_length:
            return CloseReason.MESSAGE_TOO_BIG
        return rsv

    def frame_inbound_payload_data(
        self,
        proto: FrameDecoder | FrameProtocol,  # noqa: ARG002 - wsproto's signature
        data: bytes,
    ) -> bytes | CloseReason:
        """Some of the payload of that frame."""
        if self._is_control:
            return data
        self._in_message = True
        if self._is_compressed:
            assert self._inflater is not None
            try:
                data = self._inflater.inflate(data, self._most())
            except ProtocolViolation as violation:
                return CloseReason(violation.close_code)
        self._size += len(data)
        return data

    def frame_inbound_complete(
        self,
        proto: FrameDecoder | FrameProtocol,  # noqa: ARG002 - wsproto's signature
        fin: bool,
    ) -> bytes | CloseReason | None:
        """The frame has ended, and perhaps the message."""
        if self._is_control or not fin:
            return None
        most = self._most()
        self._in_message = False
        self._size = 0
        if not self._is_compressed:
            return None
        assert self._inflater is not None
        try:
            return self._inflater.finish(most)
        except ProtocolViolation as violation:
            return CloseReason(violation.close_code)

    def _most(self) -> int:
        """Octets that the message may still grow by; -1: any number."""
        limit = self._limits.message_bytes
        return limit - self._size if limit else -1
