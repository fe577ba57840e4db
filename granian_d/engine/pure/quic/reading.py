"""Packets that come, the short way: 1-RTT, on the path and to the id that are in use.

That is nearly all that comes. The library takes the same steps for it, among many others that are
for packets of the handshake, of other paths and ids; those are left to it.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from aioquic import tls
from aioquic._buffer import Buffer, BufferReadError
from aioquic._crypto import CryptoError
from aioquic.quic.configuration import SMALLEST_MAX_DATAGRAM_SIZE
from aioquic.quic.connection import (
    END_STATES,
    QuicConnectionError,
    QuicConnectionState,
    QuicReceiveContext,
)
from aioquic.quic.packet import NON_ACK_ELICITING_FRAME_TYPES, QuicErrorCode, QuicFrameType
from aioquic.quic.recovery import MAX_ACK_RANGES
from aioquic.quic.stream import QuicStream, StreamFinishedError

from granian_d.engine.connection_ids import ID_BYTES
from granian_d.engine.pure.quic.connection import Connection

if TYPE_CHECKING:
    from aioquic.quic.connection import QuicNetworkPath

_ONE_RTT: Final = tls.Epoch.ONE_RTT
_CONNECTED: Final = QuicConnectionState.CONNECTED
_AFTER_ID: Final = 1 + ID_BYTES
# Bits of the first octet of a short header (RFC 9000 17.3.1).
_FORM, _SHORT, _SPIN, _RESERVED = 0xC0, 0x40, 0x20, 0x18
_SILENT: Final = frozenset(int(kind) for kind in NON_ACK_ELICITING_FRAME_TYPES)
_LEAST_GAPS: Final = 128
_CRYPTO_GAPS: Final = 64  # each is a packet; a ClientHello has two or three
_IS_REQUEST: Final = 3  # the low bits of a stream's number: 0, where a client asks


class ReadingConnection(Connection):
    """A connection that reads; see Connection for the arguments."""

    _is_settled = False  # the handshake is confirmed, early keys are gone

    @cached_property
    def _most_gaps(self) -> int:
        """In a stream: more than the loss of every second packet of a whole window makes."""
        return max(_LEAST_GAPS, self._configuration.max_stream_data // SMALLEST_MAX_DATAGRAM_SIZE)

    def receive_datagram(self, data: bytes, addr: Any, now: float) -> None:
        """A datagram has arrived."""
        if self._is_settled and data[0] & _FORM == _SHORT and data[1:_AFTER_ID] == self.host_cid:
            path = self._network_paths[0]
            if addr == path.addr and path.is_validated and self._state is _CONNECTED:
                self._receive_short(data, path, now)
                return
        super().receive_datagram(data, addr, now)
        if self._handshake_confirmed and not self._is_settled:
            self._is_settled = not self._cryptos[tls.Epoch.ZERO_RTT].recv.is_valid()

    def _receive_short(self, data: bytes, path: QuicNetworkPath, now: float) -> None:
        """What `QuicConnection.receive_datagram` comes to for such a packet."""
        space = self._space
        try:
            header, payload, number = self._keys.decrypt_packet(
                data, _AFTER_ID, space.expected_packet_number
            )
        except CryptoError:
            return  # not of this connection, or damaged
        if number in space.received_packets:
            return
        first = header[0]
        if first & _RESERVED:
            self.close(
                error_code=QuicErrorCode.PROTOCOL_VIOLATION,
                frame_type=QuicFrameType.PADDING,
                reason_phrase="Reserved bits must be zero",
            )
            return
        if number >= space.expected_packet_number:
            space.expected_packet_number = number + 1
        if number > self._spin_highest_pn:
            self._spin_highest_pn = number
            self._spin_bit = bool(first & _SPIN)
        context = QuicReceiveContext(_ONE_RTT, self.host_cid, path, None, now, None)
        try:
            asks = self._read_frames(context, payload)
        except QuicConnectionError as error:
            self.close(
                error_code=error.error_code,
                frame_type=error.frame_type,
                reason_phrase=error.reason_phrase,
            )
            return
        if self._state in END_STATES or self._close_pending:
            return
        self._close_at = now + self._idle_timeout()
        self._ack_eliciting_sent_since_receipt = False
        self._note_received(number, now, asks=asks)

    def _note_received(self, number: int, now: float, *, asks: bool) -> None:
        """Remember a packet, for the ACK that tells of it."""
        space = self._space
        is_next = number == space.largest_received_packet + 1
        if number > space.largest_received_packet:
            space.largest_received_packet = number
            space.largest_received_time = now
        space.ack_queue.add(number)
        space.received_packets.add(number)
        if len(space.ack_queue) > MAX_ACK_RANGES:
            space.ack_queue.shift()
        if asks:
            # The second one is answered at once, and one behind a gap (RFC 9000 13.2.1, 13.2.2).
            at_once = space.ack_at is not None or not is_next
            space.ack_at = now if at_once else now + self._ack_delay

    def _read_frames(self, context: QuicReceiveContext, payload: bytes) -> bool:
        """Take the frames of a packet; whether it asks for an ACK.

        Raises:
            QuicConnectionError: the peer has broken a rule.
        """
        if not payload:
            raise QuicConnectionError(
                QuicErrorCode.PROTOCOL_VIOLATION, QuicFrameType.PADDING, "Packet contains no frames"
            )
        handlers = self._handlers
        buffer = Buffer(data=payload)
        asks = False
        kind: int = QuicFrameType.PADDING
        try:
            while not buffer.eof():
                kind = buffer.pull_uint_var()
                if kind not in handlers:
                    raise QuicConnectionError(
                        QuicErrorCode.FRAME_ENCODING_ERROR, kind, "Unknown frame type"
                    )
                asks = asks or kind not in _SILENT
                try:
                    handlers[kind][0](context, kind, buffer)  # 1-RTT packets may have all of them
                except StreamFinishedError:
                    continue  # of a stream that is no more
        except BufferReadError:
            raise QuicConnectionError(
                QuicErrorCode.FRAME_ENCODING_ERROR, kind, "Failed to parse frame"
            ) from None
        return asks

    def _handle_ack_frame(self, context: QuicReceiveContext, frame_type: int, buf: Buffer) -> None:
        """Who acknowledges what was not sent wants us to send faster (RFC 9000 13.1, 21.4)."""
        at = buf.tell()
        if buf.pull_uint_var() >= self._packet_number:
            raise QuicConnectionError(
                QuicErrorCode.PROTOCOL_VIOLATION, frame_type, "ACK of a packet that was not sent"
            )
        buf.seek(at)
        super()._handle_ack_frame(context, frame_type, buf)

    def _handle_stream_frame(
        self, context: QuicReceiveContext, frame_type: int, buf: Buffer
    ) -> None:
        """Gaps are looked through for each frame; loss makes no more of them than packets fit."""
        at = buf.tell()
        stream_id = buf.pull_uint_var()
        buf.seek(at)
        super()._handle_stream_frame(context, frame_type, buf)
        stream = self._streams.get(stream_id)
        if stream is not None and len(stream.receiver._ranges) > self._most_gaps:
            raise QuicConnectionError(
                QuicErrorCode.INTERNAL_ERROR, frame_type, "Stream data in too many pieces"
            )

    def _handle_crypto_frame(
        self, context: QuicReceiveContext, frame_type: int, buf: Buffer
    ) -> None:
        """The same for the handshake, whose messages are short."""
        super()._handle_crypto_frame(context, frame_type, buf)
        receiver = self._crypto_streams[context.epoch].receiver
        if len(receiver._ranges) > _CRYPTO_GAPS:
            raise QuicConnectionError(
                QuicErrorCode.CRYPTO_BUFFER_EXCEEDED, frame_type, "Handshake in too many pieces"
            )

    def _get_or_create_stream(self, frame_type: int, stream_id: int) -> QuicStream:
        """The stream of a frame; mostly it is known, or the next request's."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            return stream
        limit = self._local_max_streams_bidi
        if not stream_id & _IS_REQUEST and stream_id >> 2 == limit.used < limit.value:
            limit.used += 1
            stream = self._streams[stream_id] = QuicStream(
                stream_id,
                self._local_max_stream_data_bidi_remote,
                self._remote_max_stream_data_bidi_local,
            )
            return stream
        stream = super()._get_or_create_stream(frame_type, stream_id)
        self._streams_queue.clear()  # quic.streams has its own
        return stream
