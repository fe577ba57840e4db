"""Streams of a connection: what waits to be sent on them, their windows, their end.

The library doubles windows as data comes in. Here a window is given back for what was consumed, and
for nothing else; what of a stream is consumed by nobody is given back with its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aioquic.quic.connection import stream_is_client_initiated
from aioquic.quic.packet_builder import QuicDeliveryState

from granian_d.engine.pure.quic.reading import ReadingConnection

if TYPE_CHECKING:
    from collections.abc import Callable

    from aioquic._buffer import Buffer
    from aioquic.quic.connection import QuicReceiveContext
    from aioquic.quic.stream import QuicStream, QuicStreamSender

    from granian_d.engine.pure.quic.connection import Setup

# We may take 25 ms for an ACK, says our transport parameter (RFC 9000 18.2), and timers are late.
ACK_DELAY_S: Final = 0.02
_ACKED: Final = QuicDeliveryState.ACKED


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

    # --- asked from above ------------------------------

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
        if sender._buffer_fin is not None or sender._reset_error_code is not None:
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
        if sender._reset_error_code is not None:
            return 0
        return sender._buffer_stop - sender.highest_offset

    def queued_bytes(self) -> int:
        """Octets of all streams that the peer has not acknowledged; an end, too, counts as one."""
        return sum(_outstanding(stream.sender) for stream in self._streams.values())

    # --- windows ------------------------------

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

    # --- what became of them ------------------------------

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


def _outstanding(sender: QuicStreamSender) -> int:
    """What the peer has not acknowledged of a stream."""
    if sender._reset_error_code is not None:
        return not sender.is_finished
    end = sender._buffer_fin is not None and not sender.is_finished
    return sender._buffer_stop - sender._buffer_start + end
