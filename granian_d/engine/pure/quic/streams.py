"""Streams of a connection: what goes out on them, their windows, their end.

The library looks at every stream for every packet, doubles windows as data comes in, and leaves an
ACK to a packet of its own. Here

    a stream is looked at when there is something to be sent on it (`_ready`),
    a window is given back for what was consumed (`_give_back`), and for nothing else,
    an ACK goes with whatever else leaves; alone it leaves when it is due.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aioquic import tls
from aioquic.buffer import size_uint_var
from aioquic.quic.connection import (
    CONNECTION_LIMIT_FRAME_CAPACITY,
    MAX_STREAM_DATA_FRAME_CAPACITY,
    RESET_STREAM_FRAME_CAPACITY,
    STOP_SENDING_FRAME_CAPACITY,
    stream_is_client_initiated,
)
from aioquic.quic.packet import QuicFrameType, QuicPacketType
from aioquic.quic.packet_builder import QuicDeliveryState

from granian_d.engine.contract import NEVER
from granian_d.engine.pure.quic.reading import ReadingConnection

if TYPE_CHECKING:
    from collections.abc import Callable

    from aioquic._buffer import Buffer
    from aioquic.quic.connection import QuicNetworkPath, QuicReceiveContext
    from aioquic.quic.packet_builder import QuicPacketBuilder
    from aioquic.quic.recovery import QuicPacketSpace
    from aioquic.quic.stream import QuicStream

    from granian_d.engine.pure.quic.connection import Setup

# We may take 25 ms for an ACK, says our transport parameter (RFC 9000 18.2), and timers are late.
ACK_DELAY_S: Final = 0.02
_HAS_OFFSET, _HAS_LENGTH, _IS_LAST = 4, 2, 1  # bits of a STREAM frame's type (RFC 9000 19.8)
_ACKED: Final = QuicDeliveryState.ACKED
# Of a STREAM frame: type, stream, offset, length and a few octets. With less room a packet is full.
_LEAST_ROOM: Final = 32


class StreamingConnection(ReadingConnection):
    """A connection with its streams; see Connection for the arguments."""

    def __init__(
        self,
        setup: Setup,
        original_id: bytes,
        retried_id: bytes | None,
        adopt: Callable[[bytes], None],
    ) -> None:
        super().__init__(setup, original_id, retried_id, adopt)
        self._ack_delay = ACK_DELAY_S
        self._window = setup.configuration.max_data
        self._stream_window = setup.configuration.max_stream_data
        self._ready: dict[QuicStream, None] = {}  # in turn
        self._stalled: dict[QuicStream, None] = {}  # until the peer gives window
        self._credited: dict[QuicStream, None] = {}  # there is window to be given
        self._deaf: set[int] = set()  # of these nothing is wanted

    # --- asked from above -----------------------------

    @property
    def is_established(self) -> bool:
        """The handshake is complete."""
        return self._handshake_complete

    def open_uni(self) -> int:
        """A new unidirectional stream; its number."""
        stream_id = self._local_next_stream_id_uni
        self._get_or_create_stream_for_send(stream_id)
        self._streams_queue.clear()  # `_ready` stands for it
        return stream_id

    def queue(self, stream_id: int, data: bytes, *, last: bool) -> bool:
        """Queue octets to be sent; whether there is anybody who wants them."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return False
        sender = stream.sender
        if sender._buffer_fin is not None or sender._reset_error_code is not None:  # noqa: SLF001 - nothing else tells
            return False
        sender.write(data, last)
        self._ready[stream] = None
        return True

    def cut(self, stream_id: int, code: int) -> bool:
        """Reset our direction of a stream; whether there is one."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return False
        stream.sender.reset(code)
        self._ready[stream] = None
        return True

    def stop(self, stream_id: int, code: int) -> bool:
        """Want no more of a stream: what still comes is dropped; whether any of it could."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.receiver.is_finished or stream_id in self._deaf:
            return False
        self._deaf.add(stream_id)
        stream.receiver.stop(code)
        self._ready[stream] = None
        return True

    def is_deaf(self, stream_id: int) -> bool:
        """Whether a stream was stopped."""
        return stream_id in self._deaf

    def judge(self, stream_id: int) -> None:
        """The peer's direction of a stream has ended."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._judge(stream)

    def mark_ready(self, stream_id: int) -> None:
        """There may be something to be sent on a stream."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._ready[stream] = None

    def unsent_bytes(self, stream_id: int) -> int:
        """Octets that are in no packet yet."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return 0
        sender = stream.sender
        if sender._reset_error_code is not None:  # noqa: SLF001 - nothing else tells
            return 0
        return sender._buffer_stop - sender.highest_offset  # noqa: SLF001 - as above

    def queued_bytes(self) -> int:
        """Octets of all streams that the peer has not acknowledged."""
        return sum(
            sender._buffer_stop - sender._buffer_start  # noqa: SLF001 - nothing else tells
            for sender in (stream.sender for stream in self._streams.values())
            if sender._reset_error_code is None  # noqa: SLF001 - as above
        )

    # --- windows -----------------------------

    def give_back(self, stream_id: int, count: int) -> bool:
        """So much of a stream was consumed: the peer may send as much more. Whether it is told."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return False  # its end has settled it
        data = self._local_max_data
        data.value += count
        stream.max_stream_data_local += count
        fresh = stream.max_stream_data_local - stream.max_stream_data_local_sent
        is_wanted = not stream.receiver.is_finished and stream_id not in self._deaf
        if fresh >= self._stream_window // 2 and is_wanted:
            self._credited[stream] = None
            return True
        return data.value - data.sent >= self._window // 2

    def _discard(self, stream: QuicStream) -> None:
        """Both directions of a stream have ended: the peer may open another one (RFC 9000 4.6).

        What of it was not consumed counts no longer on the connection.
        """
        stream_id = stream.stream_id
        assert stream_id is not None
        del self._streams[stream_id]
        self._ready.pop(stream, None)
        self._stalled.pop(stream, None)
        self._credited.pop(stream, None)
        self._deaf.discard(stream_id)
        if stream_is_client_initiated(stream_id):
            consumed = stream.max_stream_data_local - self._stream_window
            self._local_max_data.value += stream.receiver.highest_offset - consumed
            self._stream_limit(stream_id).value += 1

    def _handle_max_data_frame(
        self, context: QuicReceiveContext, frame_type: int, buf: Buffer
    ) -> None:
        super()._handle_max_data_frame(context, frame_type, buf)
        self._resume_stalled()

    def _handle_max_stream_data_frame(
        self, context: QuicReceiveContext, frame_type: int, buf: Buffer
    ) -> None:
        super()._handle_max_stream_data_frame(context, frame_type, buf)
        self._resume_stalled()

    def _unblock_streams(self, is_unidirectional: bool) -> None:
        super()._unblock_streams(is_unidirectional)
        self._resume_stalled()

    def _resume_stalled(self) -> None:
        self._ready.update(self._stalled)
        self._stalled.clear()

    # --- packets -------------------------------------------------------------------------------

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Any]]:
        """Packets, if there is anything to be said; most of what comes asks for nothing."""
        if self._handshake_confirmed and not self._close_pending and len(self._network_paths) == 1:
            ack_at = self._space.ack_at
            if (ack_at is None or ack_at > now) and not self._has_output():
                return []
        return super().datagrams_to_send(now)

    def _write_application(
        self, builder: QuicPacketBuilder, network_path: QuicNetworkPath, now: float
    ) -> None:
        """Write 1-RTT packets, as many as there is need, window and room for."""
        crypto, space = self._keys, self._space
        if not crypto.send.is_valid():
            return
        pacer = self._loss._pacer  # noqa: SLF001 - the library asks it here, too
        while True:
            ack_at = NEVER if space.ack_at is None else space.ack_at
            has_output = self._has_output()
            if ack_at > now:  # an ACK is not paced (RFC 9002 7.7)
                if not has_output:
                    return
                self._pacing_at = pacer.next_send_time(now=now)
                if self._pacing_at is not None:
                    return
            builder.start_packet(QuicPacketType.ONE_RTT, crypto)
            if ack_at < NEVER:
                self._write_ack_frame(builder, space, now)
            if has_output:
                if self._handshake_complete:
                    self._write_signals(builder, network_path, now)
                    self._write_limits(builder)
                self._write_probes(builder, space)
                self._write_streams(builder)
            if builder.packet_is_empty:
                return
            pacer.update_after_send(now=now)

    def _has_output(self) -> bool:
        """Whether something besides an ACK wants to leave."""
        path, data = self._network_paths[0], self._local_max_data
        return bool(
            self._ready
            or self._credited
            or self._probe_pending
            or self._ping_pending
            or self._retire_connection_ids
            or path.remote_challenges
            or not (path.is_validated or path.local_challenge_sent)
            or self._handshake_done_pending
            or self._ids_pending
            or self._streams_blocked_pending
            or data.value - data.sent >= self._window // 2
            or self._wants_told(self._local_max_streams_bidi)
            or self._wants_told(self._local_max_streams_uni)
            or not self._tail.buffer_is_empty
        )

    @staticmethod
    def _wants_told(limit: Any) -> bool:
        """Whether fewer streams are left to the peer than it would be given."""
        return bool(limit.value - limit.sent > limit.sent - limit.used)

    def _write_signals(
        self, builder: QuicPacketBuilder, network_path: QuicNetworkPath, now: float
    ) -> None:
        """What concerns the connection: its path, its ids, its handshake."""
        if not (network_path.is_validated or network_path.local_challenge_sent):
            self._write_path_challenge_frame(builder, network_path)
            if network_path.validation_deadline is None:
                # RFC 9000 8.2.4: three times the larger PTO, of what we know and of a new path
                pto = max(self._loss.get_probe_timeout(), 2 * self._configuration.initial_rtt)
                network_path.validation_deadline = now + 3 * pto
        if self._handshake_done_pending:
            self._write_handshake_done_frame(builder)
            self._handshake_done_pending = False
        while network_path.remote_challenges:
            self._write_path_response_frame(builder, network_path.remote_challenges[0])
            network_path.remote_challenges.popleft()
        if self._ids_pending:
            for connection_id in self._host_cids:
                if not connection_id.was_sent:
                    self._write_new_connection_id_frame(builder, connection_id)
            self._ids_pending = False
        while self._retire_connection_ids:
            self._write_retire_connection_id_frame(builder, self._retire_connection_ids[0])
            self._retire_connection_ids.pop(0)
        if self._streams_blocked_pending:
            self._write_streams_blocked_frame(
                builder, QuicFrameType.STREAMS_BLOCKED_UNI, self._remote_max_streams_uni
            )
            self._streams_blocked_pending = False

    def _write_limits(self, builder: QuicPacketBuilder) -> None:
        """MAX_DATA, MAX_STREAMS and MAX_STREAM_DATA, each once it says much that is new."""
        data = self._local_max_data
        if data.value - data.sent >= self._window // 2:
            self._write_limit(builder, data)
        for limit in (self._local_max_streams_bidi, self._local_max_streams_uni):
            if self._wants_told(limit):
                self._write_limit(builder, limit)
        while self._credited:
            stream = next(iter(self._credited))
            if not stream.receiver.is_finished:
                self._write_stream_limit(builder, stream)
            del self._credited[stream]

    def _write_limit(self, builder: QuicPacketBuilder, limit: Any) -> None:
        buffer = builder.start_frame(
            limit.frame_type,
            capacity=CONNECTION_LIMIT_FRAME_CAPACITY,
            handler=self._on_connection_limit_delivery,
            handler_args=(limit,),
        )
        buffer.push_uint_var(limit.value)
        limit.sent = limit.value

    def _write_stream_limit(self, builder: QuicPacketBuilder, stream: QuicStream) -> None:
        buffer = builder.start_frame(
            QuicFrameType.MAX_STREAM_DATA,
            capacity=MAX_STREAM_DATA_FRAME_CAPACITY,
            handler=self._on_max_stream_data_delivery,
            handler_args=(stream,),
        )
        assert stream.stream_id is not None
        buffer.push_uint_var(stream.stream_id)
        buffer.push_uint_var(stream.max_stream_data_local)
        stream.max_stream_data_local_sent = stream.max_stream_data_local

    def _write_probes(self, builder: QuicPacketBuilder, space: QuicPacketSpace) -> None:
        """PING where it is wanted, and what TLS has to say after the handshake: tickets."""
        if self._ping_pending:
            self._write_ping_frame(builder, self._ping_pending)
            self._ping_pending.clear()
        if self._probe_pending:
            self._write_ping_frame(builder)
            self._probe_pending = False
        if not self._tail.buffer_is_empty:
            stream = self._crypto_streams[tls.Epoch.ONE_RTT]
            self._write_crypto_frame(builder=builder, space=space, stream=stream)

    def _write_streams(self, builder: QuicPacketBuilder) -> None:
        """Frames of the streams that have something to send, in turn."""
        ready = self._ready
        for _ in range(len(ready)):
            if builder.remaining_flight_space < _LEAST_ROOM:
                return
            stream = next(iter(ready))
            self._write_stream(builder, stream)
            del ready[stream]
            sender = stream.sender
            if stream.receiver.stop_pending or sender.reset_pending:
                ready[stream] = None
            elif not sender.buffer_is_empty:
                if len(sender._pending) or sender._pending_eof:  # noqa: SLF001 - the library asks a frame in vain
                    (ready if self._may_send(stream) else self._stalled)[stream] = None
                else:
                    sender.buffer_is_empty = True

    def _may_send(self, stream: QuicStream) -> bool:
        """Whether the peer's windows leave room for what waits on a stream."""
        sender = stream.sender
        if stream.is_blocked:
            return False
        if sender.next_offset < sender.highest_offset or not len(sender._pending):  # noqa: SLF001 - the library asks a frame in vain
            return True  # it was sent before, or is an end without octets
        return (
            sender.highest_offset < stream.max_stream_data_remote
            and self._remote_max_data_used < self._remote_max_data
        )

    def _write_stream(self, builder: QuicPacketBuilder, stream: QuicStream) -> None:
        sender = stream.sender
        if stream.receiver.stop_pending:
            buffer = builder.start_frame(
                QuicFrameType.STOP_SENDING,
                capacity=STOP_SENDING_FRAME_CAPACITY,
                handler=self._on_stop_delivery,
                handler_args=(stream,),
            )
            stop = stream.receiver.get_stop_frame()
            buffer.push_uint_var(stop.stream_id)
            buffer.push_uint_var(stop.error_code)
        if sender.reset_pending:
            buffer = builder.start_frame(
                QuicFrameType.RESET_STREAM,
                capacity=RESET_STREAM_FRAME_CAPACITY,
                handler=self._on_reset_delivery,
                handler_args=(stream,),
            )
            reset = sender.get_reset_frame()
            buffer.push_uint_var(reset.stream_id)
            buffer.push_uint_var(reset.error_code)
            buffer.push_uint_var(reset.final_size)
        elif not stream.is_blocked and not sender.buffer_is_empty:
            self._write_stream_data(builder, stream)

    def _write_stream_data(self, builder: QuicPacketBuilder, stream: QuicStream) -> None:
        """A STREAM frame, as far as windows and packet go."""
        sender, stream_id = stream.sender, stream.stream_id
        assert stream_id is not None
        start, highest = sender.next_offset, sender.highest_offset
        overhead = 3 + size_uint_var(stream_id) + (size_uint_var(start) if start else 0)
        window = self._remote_max_data - self._remote_max_data_used
        frame = sender.get_frame(
            builder.remaining_flight_space - overhead,
            min(highest + window, stream.max_stream_data_remote),
        )
        if frame is None:
            return
        data, end = frame.data, frame.offset + len(frame.data)
        kind = QuicFrameType.STREAM_BASE | _HAS_LENGTH
        if frame.offset:
            kind |= _HAS_OFFSET
        if frame.fin:
            kind |= _IS_LAST
        buffer = builder.start_frame(
            kind,
            capacity=overhead,
            handler=self._on_stream_delivery,
            handler_args=(stream, frame.offset, end, frame.fin),
        )
        buffer.push_uint_var(stream_id)
        if frame.offset:
            buffer.push_uint_var(frame.offset)
        buffer.push_uint16(len(data) | 0x4000)  # as a varint of two octets
        buffer.push_bytes(data)
        self._remote_max_data_used += sender.highest_offset - highest

    # --- what became of them -----------------------------

    def _on_stream_delivery(
        self, delivery: QuicDeliveryState, stream: QuicStream, start: int, stop: int, fin: bool
    ) -> None:
        sender = stream.sender
        sender.on_data_delivery(delivery, start, stop, fin)
        if delivery is _ACKED:
            self._judge(stream)
        elif not sender.buffer_is_empty:
            self._ready[stream] = None

    def _on_reset_delivery(self, delivery: QuicDeliveryState, stream: QuicStream) -> None:
        stream.sender.on_reset_delivery(delivery)
        if delivery is _ACKED:
            self._judge(stream)
        else:
            self._ready[stream] = None

    def _on_stop_delivery(self, delivery: QuicDeliveryState, stream: QuicStream) -> None:
        if delivery is not _ACKED and not stream.receiver.is_finished:
            stream.receiver.stop_pending = True
            self._ready[stream] = None

    def _on_max_stream_data_delivery(self, delivery: QuicDeliveryState, stream: QuicStream) -> None:
        if delivery is not _ACKED:
            self._credited[stream] = None

    def _judge(self, stream: QuicStream) -> None:
        """Let go of a stream of which nothing is expected any more."""
        if stream.is_finished and stream.stream_id in self._streams:
            self._discard(stream)
