"""What we send, as frames: one for each message, written by wsproto."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsproto.extensions import Extension
from wsproto.frame_protocol import FrameProtocol, Opcode, RsvBits

from granian_d.engine.pure.ws_deflate import COMPRESSED_BYTES, Deflater
from granian_d.errors import InvalidResponse
from granian_d.http.session import NO_CODE

if TYPE_CHECKING:
    from wsproto.frame_protocol import FrameDecoder

    from granian_d.http.handshake import Deflate


class Writer:
    """Makes frames.

    Attributes:
        payload_bytes: of the last one.
    """

    __slots__ = ("_frames", "_presser")

    def __init__(self, deflate: Deflate | None) -> None:
        self._presser = _Presser(deflate)
        self._frames = FrameProtocol(client=False, extensions=[self._presser])

    @property
    def payload_bytes(self) -> int:
        """As it is on the wire."""
        return self._presser.payload_bytes

    def message(self, data: str | bytes) -> bytes:
        """A message.

        Raises:
            InvalidResponse: it is neither bytes nor text that UTF-8 has.
        """
        if not isinstance(data, str | bytes):
            raise InvalidResponse(f"a message of {type(data).__name__} instead of str or bytes")
        try:
            return bytes(self._frames.send_data(data))
        except UnicodeEncodeError as error:
            raise InvalidResponse("a text that UTF-8 cannot have") from error

    def ping(self) -> bytes:
        """A ping without payload: the pong need not be told from others."""
        return bytes(self._frames.ping())

    def pong(self, payload: bytes) -> bytes:
        """The answer to a ping."""
        return bytes(self._frames.pong(payload))

    def close(self, code: int, reason: str) -> bytes:
        """A Close; without a payload for NO_CODE."""
        if code == NO_CODE:
            return bytes(self._frames.close())
        return bytes(self._frames.close(code, reason))


class _Presser(Extension):
    """Compresses what is worth it."""

    name = "permessage-deflate"

    def __init__(self, deflate: Deflate | None) -> None:
        self._deflater = None if deflate is None else Deflater(deflate)
        self.payload_bytes = 0

    def enabled(self) -> bool:
        """It sees every frame."""
        return True

    def offer(self) -> bool | str:
        """Nothing is offered: the handshake is ours."""
        return False

    def frame_outbound(
        self,
        proto: FrameDecoder | FrameProtocol,  # noqa: ARG002 - wsproto's signature
        opcode: Opcode,
        rsv: RsvBits,
        data: bytes,
        fin: bool,  # noqa: ARG002 - wsproto's signature
    ) -> tuple[RsvBits, bytes]:
        """What a frame really has: RSV1 says that the message is compressed (RFC 7692 6)."""
        if self._deflater and not opcode.iscontrol() and len(data) >= COMPRESSED_BYTES:
            data = self._deflater.deflate(data)
            rsv = RsvBits(rsv1=True, rsv2=False, rsv3=False)
        self.payload_bytes = len(data)
        return rsv, data
