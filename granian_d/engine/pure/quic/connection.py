"""aioquic's connection as a worker's server wants it: ids, windows, keys, and no log.

What is overridden here are private methods of the library, each with the least that makes the
difference; the releases that this is known to fit are named in pyproject.toml.

    connection ids   from engine.connection_ids instead of random ones, so that packets can be
                     steered; their reset tokens from the daemon's key, so that any worker has them
    the handshake    quic.handshake in place of the library's TLS context
    log              none: the library would compose lines for a logger that nobody reads
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aioquic import tls
from aioquic._buffer import Buffer
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.congestion.base import K_INITIAL_WINDOW
from aioquic.quic.connection import (
    CRYPTO_BUFFER_SIZE,
    END_STATES,
    QuicConnection,
    QuicConnectionId,
    QuicConnectionState,
)
from aioquic.quic.crypto import CryptoPair
from aioquic.quic.packet import QuicErrorCode, QuicFrameType
from aioquic.quic.recovery import QuicPacketSpace
from aioquic.quic.stream import QuicStream, QuicStreamSender
from aioquic.tls import Epoch

from granian_d.engine import connection_ids
from granian_d.engine.connection_ids import ID_BYTES
from granian_d.engine.pure.quic.handshake import ALPN, Handshake
from granian_d.engine.pure.quic.pacing import Pacer
from granian_d.engine.pure.quic.stateless import VERSIONS
from granian_d.engine.pure.quic.tickets import Promise

if TYPE_CHECKING:
    from collections.abc import Callable

    from aioquic.quic.packet_builder import QuicDeliveryState

    from granian_d.engine.datagrams import QuicTerms
    from granian_d.engine.pure.quic.certificates import Pair
    from granian_d.engine.pure.quic.tickets import Tickets
    from granian_d.engine.server_names import ServerNames
    from granian_d.plan import Http3Limits, Limits

# The smallest one that every path must carry (RFC 9000 14). More would have to be found out by
# probing (RFC 8899), which the library does not do; what is lost for being too large is lost for
# good, while 20 % more octets in a packet save less than 20 % of an answer's cost.
DATAGRAM_BYTES: Final = 1200
_FIRST_WINDOW_BYTES: Final = K_INITIAL_WINDOW * DATAGRAM_BYTES
# HTTP/3 has three: control and QPACK's two (RFC 9114 6.2); a few more for what may come.
UNI_STREAMS: Final = 8
# Ids of ours that a peer has at a time: one in use, and some to move with (RFC 9000 5.1.1).
IDS: Final = 4


class Issuer:
    """Makes connection ids of a worker.

    Args:
        terms: of the hall.
    """

    __slots__ = ("_generation", "_reset_key", "_seat", "_words")

    def __init__(self, terms: QuicTerms) -> None:
        self._words = connection_ids.words_of(terms.key)
        self._reset_key = connection_ids.derive(terms.key, "reset tokens", 32)
        self._seat = terms.seat
        self._generation = terms.generation

    @property
    def reset_key(self) -> bytes:
        """Of reset tokens."""
        return self._reset_key

    def new_id(self) -> bytes:
        """An id that leads to this worker."""
        return connection_ids.issue(self._words, self._seat, self._generation)

    def seat_of(self, connection_id: bytes) -> int | None:
        """The seat of the worker that an id leads to; None if it is not one of ours."""
        owner = connection_ids.owner_of(self._words, connection_id)
        return None if owner is None else owner.seat

    def issue(self, number: int, *, sent: bool) -> QuicConnectionId:
        """A new id with its token, as the library keeps them."""
        connection_id = self.new_id()
        token = connection_ids.reset_token(self._reset_key, connection_id)
        return QuicConnectionId(connection_id, number, token, sent)


class Setup(NamedTuple):
    """What the connections of a hall are made with.

    Attributes:
        configuration: of the library.
        issuer: of connection ids.
        names: certificates.
        tickets: of sessions.
        streams: bidirectional ones that a peer may have at once.
        server: (address, port) that the socket is bound to.
    """

    configuration: QuicConfiguration
    issuer: Issuer
    names: ServerNames[Pair]
    tickets: Tickets
    streams: int
    server: tuple[str, int]


def configure(limits: Http3Limits, pair: Pair, idle_timeout_s: float) -> QuicConfiguration:
    """The library's configuration."""
    return QuicConfiguration(
        alpn_protocols=[ALPN],
        connection_id_length=ID_BYTES,
        idle_timeout=idle_timeout_s,
        is_client=False,
        max_data=limits.connection_window_bytes,
        max_datagram_size=DATAGRAM_BYTES,
        max_stream_data=limits.stream_window_bytes,
        supported_versions=list(VERSIONS),
        certificate=pair.certificate,
        certificate_chain=pair.chain,
        private_key=pair.key,
    )


def promise(limits: Limits) -> Promise:
    """The limits that early data counts on."""
    http3 = limits.http3
    assert http3 is not None
    return Promise(
        data=http3.connection_window_bytes,
        stream_data=http3.stream_window_bytes,
        streams=http3.streams,
        uni_streams=UNI_STREAMS,
        fields=limits.http2.fields_bytes,
        conversations=limits.websocket is not None,
    )


class _Silence:
    """A logger for nobody."""

    def debug(self, *_: Any) -> None:
        """Say nothing."""

    info = warning = error = debug


_SILENCE: Any = _Silence()
_EPOCHS: Final[dict[int, frozenset[Epoch]]] = {}  # in which a frame may come


class _InitialKeys(dict[int, CryptoPair]):
    """Keys of Initial packets by version, made when a packet of that version comes.

    Everybody can make them, who has seen the first packet. So there is a time when they are good
    for nothing any more (RFC 9001 4.9.1).

    Args:
        destination: of the client's first Initial packet.
    """

    def __init__(self, destination: bytes) -> None:
        super().__init__()
        self._destination: bytes | None = destination

    def __missing__(self, version: int) -> CryptoPair:
        pair = self[version] = CryptoPair()
        if self._destination is not None:
            pair.setup_initial(cid=self._destination, is_client=False, version=version)
        return pair

    def close(self) -> None:
        """Make no more keys."""
        self._destination = None


class Connection(QuicConnection):
    """One connection, as the server.

    Args:
        setup: what it is made with.
        original_id: that the client's first packet was sent to.
        retried_id: that a Retry has told it to send to; None if there was no Retry.
        adopt: is told of each new id of this connection.
    """

    tls: Handshake
    _cryptos_initial: _InitialKeys
    _keys: CryptoPair
    _space: QuicPacketSpace
    _tail: QuicStreamSender

    def __init__(
        self,
        setup: Setup,
        original_id: bytes,
        retried_id: bytes | None,
        adopt: Callable[[bytes], None],
    ) -> None:
        super().__init__(
            configuration=setup.configuration,
            original_destination_connection_id=original_id,
            retry_source_connection_id=retried_id,
        )
        self._logger = self._loss._logger = _SILENCE
        self._loss._pacer = Pacer(max_datagram_size=self._max_datagram_size)
        self._setup = setup
        self._adopt = adopt
        self._handlers = vars(self)["_QuicConnection__frame_handlers"]  # Python's name for it
        for kind, (handler, epochs) in self._handlers.items():  # the sets are the same for all
            self._handlers[kind] = (handler, _EPOCHS.setdefault(kind, epochs))
        self._ids_pending = False  # there are some that the peer has to be told
        first = setup.issuer.issue(0, sent=True)
        self._host_cids = [first]
        self.host_cid = self._local_initial_source_connection_id = first.cid
        adopt(first.cid)
        for limit, streams in (
            (self._local_max_streams_bidi, setup.streams),
            (self._local_max_streams_uni, UNI_STREAMS),
        ):
            limit.value = limit.sent = streams
        self._window = setup.configuration.max_data
        self._stream_window = setup.configuration.max_stream_data

    # --- the handshake ------------------------------

    def _initialize(self, peer_cid: bytes) -> None:
        """Prepare for the handshake, when the client's first packet is there."""
        self.tls = Handshake(self._setup.names, self._setup.tickets)
        parameters = self._serialize_transport_parameters()
        self.tls.handshake_extensions = [(tls.ExtensionType.QUIC_TRANSPORT_PARAMETERS, parameters)]
        self.tls.alpn_cb = self._alpn_handler
        self.tls.update_traffic_key_cb = self._update_traffic_key
        assert self._version is not None
        self._cryptos_initial = _InitialKeys(peer_cid)
        later = (Epoch.ZERO_RTT, Epoch.HANDSHAKE, Epoch.ONE_RTT)
        self._cryptos = {epoch: CryptoPair() for epoch in later}
        self._cryptos[Epoch.INITIAL] = self._cryptos_initial[self._version]
        epochs = (Epoch.INITIAL, Epoch.HANDSHAKE, Epoch.ONE_RTT)
        self._crypto_buffers = {epoch: Buffer(capacity=CRYPTO_BUFFER_SIZE) for epoch in epochs}
        self._crypto_streams = {epoch: QuicStream() for epoch in epochs}
        self._spaces = {
            epoch: QuicPacketSpace(is_application_data=epoch is Epoch.ONE_RTT) for epoch in epochs
        }
        self._loss.spaces = list(self._spaces.values())
        # Those of 1-RTT packets, by name: to look them up takes a call of Enum's, each time.
        self._keys = self._cryptos[Epoch.ONE_RTT]
        self._space = self._spaces[Epoch.ONE_RTT]
        self._tail = self._crypto_streams[Epoch.ONE_RTT].sender

    def _confirm_handshake(self) -> None:
        """Keep nothing of the handshake's: connections last for hours, and most of them idle."""
        super()._confirm_handshake()
        self.tls.forget()
        # TLS says no more: what a client still sends to it ends the connection.
        self._crypto_buffers = {Epoch.ONE_RTT: Buffer(capacity=1)}

    def _discard_epoch(self, epoch: Epoch) -> None:
        if epoch is Epoch.INITIAL:
            self._cryptos_initial.close()
        super()._discard_epoch(epoch)

    def _replenish_connection_ids(self) -> None:
        """Let the peer have as many ids as it can keep, and we want."""
        while len(self._host_cids) < min(IDS, self._remote_active_connection_id_limit):
            fresh = self._setup.issuer.issue(self._host_cid_seq, sent=False)
            self._host_cids.append(fresh)
            self._adopt(fresh.cid)
            self._host_cid_seq += 1
            self._ids_pending = True

    def _on_new_connection_id_delivery(
        self, delivery: QuicDeliveryState, connection_id: QuicConnectionId
    ) -> None:
        super()._on_new_connection_id_delivery(delivery, connection_id)
        self._ids_pending |= not connection_id.was_sent

    # --- its life ------------------------------

    @property
    def has_ended(self) -> bool:
        """CONNECTION_CLOSE has left or come, or nothing has come for too long."""
        return self._state in END_STATES

    @property
    def is_silent(self) -> bool:
        """No packet of the peer could be read yet."""
        return self._state is QuicConnectionState.FIRSTFLIGHT

    def reason(self) -> str:
        """Why it has ended, without a word of the peer's."""
        event = self._close_event
        if event is None:
            return "the connection was lost"
        if self._state is QuicConnectionState.DRAINING:
            return f"the peer closed the connection with code 0x{event.error_code:x}"
        return event.reason_phrase or f"code 0x{event.error_code:x}"

    def farewell_s(self) -> float:
        """How long packets of it may still be on their way (RFC 9000 10.2)."""
        return 3 * self._loss.get_probe_timeout()

    def idle_s(self) -> float:
        """Without a packet for this long, the connection is over (RFC 9000 10.1)."""
        return self._idle_timeout()

    def heard_at(self) -> float:
        """When the peer was last heard, or we have first spoken since (RFC 9000 10.1)."""
        return (self._close_at or 0.0) - self._idle_timeout()

    def give_up(self) -> None:
        """End a handshake; without a word, if the peer's address has been sent enough.

        The library does not count CONNECTION_CLOSE (RFC 9000 8.1: three times what has come).
        """
        self.close(error_code=QuicErrorCode.CONNECTION_REFUSED, frame_type=QuicFrameType.PADDING)
        if not self._network_paths[0].can_send(self._max_datagram_size):
            self._close_pending = False
            self._close_end()

    def believe_address(self) -> None:
        """The peer's address was proven by a Retry (RFC 9000 8.1.2)."""
        for path in self._network_paths:
            path.is_validated = True

    def proven_path(self) -> Any:
        """Where the peer is, if that is proven; else None."""
        path = self._network_paths[0]
        return path.addr if path.is_validated else None

    def measure_anew(self) -> None:
        """Nothing is known of the path any more (RFC 9000 9.4)."""
        loss: Any = self._loss
        loss._cc.congestion_window = min(loss.congestion_window, _FIRST_WINDOW_BYTES)
        loss._cc.ssthresh = None
        loss._rtt_initialized = False
        loss._rtt_min = inf
        loss._pacer.packet_time = None

    def pass_time(self, now: float) -> None:
        """Timers of the library, where they have passed."""
        due = self.get_timer()
        if due is not None and now >= due:
            self.handle_timer(now)
