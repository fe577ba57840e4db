"""The library `h2` as this engine uses it: a second opinion, and the writer of frames.

Rules of this file: nobody else imports the library. What reaches it has passed our own rules; what
it then refuses is refused, too. It keeps the windows and the states of the streams a second time,
compresses, and writes. It is not shown what it would judge worse: field sections (it sees empty
ones), padding, GOAWAY, PRIORITY, unknown frames, and frames on closed streams.
"""

from __future__ import annotations

from struct import pack
from typing import TYPE_CHECKING, Final

from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection
from h2.exceptions import H2Error, ProtocolError
from h2.settings import SettingCodes, Settings
from hpack import Decoder
from hpack.exceptions import HPACKError, OversizedHeaderListError

from granian_d.engine.pure import h2_frames
from granian_d.errors import (
    CompressionBroken,
    FlowControlBroken,
    PeerTooBusy,
    ProtocolViolation,
)

if TYPE_CHECKING:
    from granian_d.http.message import Fields
    from granian_d.plan import Limits

DEFAULT_WINDOW_BYTES: Final = 65535  # RFC 9113 6.9.2
TABLE_BYTES: Final = 4096  # of either HPACK table, the default (RFC 9113 6.5.2)
BOMB_FACTOR: Final = 4  # times what a section may have: so far we go on decoding what is refused

_VIOLATIONS: Final = {3: FlowControlBroken}  # by the code of the library's error


class Ledger(H2Connection):
    """One connection, server side; written frames are taken by `take_output`."""

    MAX_CLOSED_STREAMS = 16  # ours to remember: h2_streams

    def __init__(self, limits: Limits) -> None:
        super().__init__(
            H2Configuration(
                client_side=False,
                header_encoding=None,
                validate_inbound_headers=False,
                normalize_inbound_headers=False,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        # Sections are decoded here, not by the library: so it is the only one to be told.
        self._sections = Decoder(max_header_list_size=BOMB_FACTOR * limits.http2.fields_bytes)
        self._sections.max_allowed_table_size = TABLE_BYTES
        # The library is not to refuse streams: we do, and they stay in step with it.
        self.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: h2_frames.MOST,
                SettingCodes.MAX_FRAME_SIZE: 2**24 - 1,
            },
        )
        self.max_inbound_frame_size = 2**24 - 1
        self.kept_back_bytes = 0  # of the connection's window, until the client's preface is here
        self.receive_data(h2_frames.PREFACE)

    # --- connection ----------------------------------------------------------------------------

    def greet(self, limits: Limits) -> None:
        """Send our SETTINGS, and raise the connection's window."""
        http2 = limits.http2
        window = min(http2.stream_window_bytes, h2_frames.MOST)
        self.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: window})  # counts from its ACK on
        self.clear_outbound_data_buffer()
        settings = {
            h2_frames.HEADER_TABLE_SIZE: TABLE_BYTES,
            h2_frames.MAX_CONCURRENT_STREAMS: http2.streams,
            h2_frames.INITIAL_WINDOW_SIZE: window,
            h2_frames.MAX_FRAME_SIZE: max(h2_frames.LEAST_FRAME_BYTES, http2.frame_bytes),
            h2_frames.MAX_HEADER_LIST_SIZE: http2.fields_bytes,
            h2_frames.NO_RFC7540_PRIORITIES: 1,
        }
        if limits.websocket is not None:
            settings[h2_frames.ENABLE_CONNECT_PROTOCOL] = 1
        self.put(h2_frames.SETTINGS, 0, 0, _settings_payload(settings))
        self.widen(min(http2.connection_window_bytes, h2_frames.MOST) - DEFAULT_WINDOW_BYTES)

    def widen(self, count: int) -> None:
        """Let the peer send so much more on the connection."""
        if count > 0:
            self.increment_flow_control_window(count)

    def take_settings(self, settings: dict[int, int], acknowledge: bool = True) -> None:
        """Obey the peer's settings.

        Raises:
            ProtocolViolation: a window would grow beyond measure.
        """
        settings = dict(settings)
        # Not more than the default: the table is our memory, and the peer's to fill. What is said
        # twice is told once, because hpack forgets to announce a change that is said again.
        now = self.encoder.header_table_size
        granted = min(settings.pop(h2_frames.HEADER_TABLE_SIZE, now), TABLE_BYTES)
        if granted != now:
            settings[h2_frames.HEADER_TABLE_SIZE] = granted
        self.take(h2_frames.SETTINGS, 0, 0, _settings_payload(settings))
        if not acknowledge:
            self.clear_outbound_data_buffer()

    def take(self, kind: int, flags: int, stream_id: int, payload: bytes = b"") -> None:
        """Show the library a frame that has passed our rules.

        Raises:
            ProtocolViolation: it does not pass the library's.
        """
        try:
            self.receive_data(_frame(kind, flags, stream_id, payload))
        except ProtocolError as error:
            self.clear_outbound_data_buffer()  # a GOAWAY, which is ours to write
            violation = _VIOLATIONS.get(int(error.error_code), ProtocolViolation)
            raise violation("refused by h2", "RFC 9113") from error

    def take_output(self) -> bytes:
        """The frames to be written."""
        return self.data_to_send()

    @property
    def is_sound(self) -> bool:
        """Nothing has been refused that leaves the library unable to write."""
        return self.state_machine.state is not ConnectionState.CLOSED

    @property
    def output_bytes(self) -> int:
        """The size of the frames to be written."""
        return len(self._data_to_send)

    def put(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """Write a frame of which the library need not know."""
        self._data_to_send += _frame(kind, flags, stream_id, payload)

    def go_away(self, last_stream_id: int, code: int) -> None:
        """Write GOAWAY. Not the library's, which would then refuse all frames that follow."""
        self.put(h2_frames.GOAWAY, 0, 0, pack(">LL", last_stream_id, code))

    # --- field sections ------------------------------------------------------------------------

    def decode(self, block: bytes) -> Fields:
        """The fields of a block; to be called for each of them, in order, wanted or not.

        Raises:
            CompressionBroken: it is no such block.
            PeerTooBusy: it stands for far more than may be sent.
        """
        try:
            return [(name, value) for name, value in self._sections.decode(block, raw=True)]
        except OversizedHeaderListError as error:
            raise PeerTooBusy("a field section far too large", "RFC 9113 10.5.1") from error
        except (HPACKError, IndexError, ValueError, TypeError) as error:
            # More than HPACKError, because hpack lets some faults of indexing through.
            raise CompressionBroken("a field block that cannot be decoded", "RFC 7541") from error

    # --- streams -------------------------------------------------------------------------------

    def open(self, stream_id: int, ended: bool) -> None:
        """The peer has opened a stream; of its section the library sees the end only."""
        flags = h2_frames.END_HEADERS | (h2_frames.END_STREAM if ended else 0)
        self.take(h2_frames.HEADERS, flags, stream_id)

    def send_section(self, stream_id: int, fields: Fields, ended: bool) -> None:
        """Write HEADERS: a response, an interim one, or trailers."""
        self.send_headers(stream_id, fields, end_stream=ended)

    def window(self, stream_id: int) -> int:
        """How many octets may be sent on a stream now; not negative."""
        connection = self.outbound_flow_control_window - self.kept_back_bytes
        return max(0, min(connection, self.stream_window(stream_id)))

    def stream_window(self, stream_id: int) -> int:
        """What the peer's settings and updates have made of a stream's own window."""
        return self.streams[stream_id].outbound_flow_control_window

    def cut(self, stream_id: int, code: int) -> None:
        """Write RST_STREAM."""
        try:
            self.reset_stream(stream_id, code)
        except H2Error:
            # It has forgotten the stream, because both sides had ended it.
            self.put(h2_frames.RST_STREAM, 0, stream_id, pack(">L", code))

    def drop(self, count: int) -> None:
        """Octets on a stream that is no more: the connection's window alone is concerned.

        Raises:
            FlowControlBroken: they were more than it allowed.
        """
        windows = self._inbound_flow_control_window_manager
        try:
            windows.window_consumed(count)
        except ProtocolError as error:
            raise FlowControlBroken("more than the window allowed", "RFC 9113 6.9.1") from error
        self.give_back(count)

    def give_back(self, count: int) -> None:
        """Octets have been read that no stream has to be credited for."""
        increment = self._inbound_flow_control_window_manager.process_bytes(count)
        if increment:
            self.put(h2_frames.WINDOW_UPDATE, 0, 0, pack(">L", increment))

    def read(self, stream_id: int, count: int, more: bool) -> None:
        """Octets of a stream have been read.

        Args:
            stream_id: it exists.
            count: padding too.
            more: the stream has not ended, so it needs a window.
        """
        if more:
            self.acknowledge_received_data(count, stream_id)
        else:
            self.give_back(count)

    def grow(self, window_bytes: int, count: int) -> None:
        """Announce a larger window for each stream, and `count` more for the connection."""
        self.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: window_bytes})
        self.widen(count)


def _frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    return pack(">LBL", len(payload) << 8 | kind, flags, stream_id) + payload


def _settings_payload(settings: dict[int, int]) -> bytes:
    return b"".join(pack(">HL", name, value) for name, value in settings.items())
