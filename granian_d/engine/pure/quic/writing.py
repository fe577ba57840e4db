"""Packets that go: 1-RTT, with what streams, windows and the connection have to say.

The library looks at every stream for every packet, and leaves an ACK to a packet of its own. Here a
stream is looked at when there is something to be sent on it, a packet is begun when there is
something to be said, and an ACK goes with whatever leaves; alone it leaves when it is due.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

from aioquic import tls
from aioquic.buffer import size_uint_var
from aioquic.quic.connection import (
    CONNECTION_LIMIT_FRAME_CAPACITY,
    MAX_STREAM_DATA_FRAME_CAPACITY,
    RESET_STREAM_FRAME_CAPACITY,
    STOP_SENDING_FRAME_CAPACITY,
    QuicConnectionState,
)
from aioquic.quic.packet import QuicFrameType, QuicPacketType
from aioquic.quic.packet_builder import QuicPacketBuilderStop

from granian_d.engine.contract import NEVER
from granian_d.engine.pure.quic.builder import ShortBuilder
from granian_d.engine.pure.quic.streams import StreamingConnection

if TYPE_CHECKING:
    from aioquic.quic.connection import QuicNetworkPath
    from aioquic.quic.packet_builder import QuicPacketBuilder
    from aioquic.quic.recovery import QuicPacketSpace
    from aioquic.quic.stream import QuicStream

KEY_PACKETS: Final = 1 << 22  # half of what AES-GCM may seal under one key
_HAS_OFFSET, _HAS_LENGTH, _IS_LAST = 4, 2, 1  # bits of a STREAM frame's type (RFC 9000 19.8)
# Of a STREAM frame: type, stream, offset, length and a few octets. With less room a packet is full.
_LEAST_ROOM: Final = 32


class WritingConnection(StreamingConnection):
    """A connection that writes; see Connection for the arguments."""

    _phase = 0  # of the keys in use
    _phase_began = 0  # with this packet

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Any]]:
        """Packets, if there is anything to be said; most of what comes asks for nothing."""
        path, *others = self._network_paths
        is_plain = self._is_settled and path.is_validated
        if others and is_plain:  # which may want to be probed
            is_plain = all(one.is_validated and not one.remote_challenges for one in others)
        if not is_plain or self._close_pending or self._state is not QuicConnectionState.CONNECTED:
            return super().datagrams_to_send(now)
        ack_at = self._space.ack_at
        if (ack_at is None or ack_at > now) and not self._has_output():
            return []
        return self._build(path, now)

    def _build(self, path: QuicNetworkPath, now: float) -> list[tuple[bytes, Any]]:
        """What `QuicConnection.datagrams_to_send` comes to where only 1-RTT packets can be sent."""
        most = self._max_datagram_size
        flight = self._loss.congestion_window - self._loss.bytes_in_flight
        if self._probe_pending:  # which is not held back by congestion (RFC 9002 7.5)
            flight = max(flight, most)
        peer_id = self._peer_cid.cid
        short = ShortBuilder(self._keys, peer_id, self._packet_number, self._spin_bit, most, flight)
        builder = cast("QuicPacketBuilder", short)
        self._pacing_at = None
        with suppress(QuicPacketBuilderStop):
            self._write_application(builder, path, now)
        return self._flush_builder(builder, path, peer_id, now)

    def _write_application(
        self, builder: QuicPacketBuilder, network_path: QuicNetworkPath, now: float
    ) -> None:
        """Write 1-RTT packets, as many as there is need, window and room for."""
        crypto, space = self._keys, self._space
        if not crypto.send.is_valid():
            return
        pacer = self._loss._pacer
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
            self._spare_keys(builder.packet_number)
            pacer.update_after_send(now=now)

    def _spare_keys(self, number: int) -> None:
        """Change keys before they have sealed too many packets (RFC 9001 6.6)."""
        phase = self._keys.send.key_phase
        if phase != self._phase:
            self._phase, self._phase_began = phase, number
        elif number - self._phase_began >= KEY_PACKETS:
            self._phase_began = number
            self.request_key_update()

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
                if len(sender._pending) or sender._pending_eof:
                    (ready if self._may_send(stream) else self._stalled)[stream] = None
                else:
                    sender.buffer_is_empty = True

    def _may_send(self, stream: QuicStream) -> bool:
        """Whether the peer's windows leave room for what waits on a stream."""
        sender = stream.sender
        if stream.is_blocked:
            return False
        if sender.next_offset < sender.highest_offset or not len(sender._pending):
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
