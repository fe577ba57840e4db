"""The Plan: frozen facts, made by the planner from the Settings, obeyed by every process.

Rules of this file: the standard library only, no I/O, no defaults (the Settings model owns all
defaults), nothing that still needs parsing. Units end a name: `_s` seconds, `_bytes` bytes.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from typing import Final, Literal

# Beyond it a scoreboard row could be missing while two generations overlap; far beyond what helps.
MOST_WORKERS: Final = 512
MOST_DRAINING: Final = 8  # generations; the scoreboard has rows for all of them

InterfaceName = Literal["asgi", "asginl", "wsgi", "rsgi"]
LoopName = Literal["auto", "asyncio", "rloop", "uvloop", "winloop"]
EngineName = Literal["auto", "native", "pure"]
ListenerKind = Literal["tcp", "unix", "fd", "systemd"]
LogFormat = Literal["auto", "text", "json"]
AccessFormat = Literal["text", "json", "journal"]
HttpMode = Literal["auto", "1", "2"]
ForwardedFields = Literal["x-forwarded", "forwarded"]
TlsVersion = Literal["tls1.2", "tls1.3"]
ClientCertificate = Literal["none", "optional", "required"]
RuntimeMode = Literal["auto", "mt", "st"]
TaskImplementation = Literal["asyncio", "rust"]
SymlinkPolicy = Literal["off", "inside", "on"]
LifespanEnd = Literal["drained", "signal"]
LogLevel = Literal["critical", "error", "warning", "info", "debug"]


@dataclass(frozen=True, slots=True, kw_only=True, match_args=False)
class ListenerPlan:
    """One socket to listen on.

    `key` names it across reloads: a listener whose key stays is kept open, whatever else changed.
    A host name was resolved by the planner, into one ListenerPlan per address.
    """

    key: str  # "tcp:127.0.0.1:8000", "tcp:[::1]:8000", "unix:/run/app.sock", "fd:3", "systemd:http"
    kind: ListenerKind
    host: str  # an IP literal; "" unless kind is "tcp"
    port: int  # 0: any free port
    path: str  # "" unless kind is "unix"; "@name" is an abstract address
    fd: int  # -1 unless kind is "fd"
    name: str  # FileDescriptorName= of a systemd socket ("" takes every inherited one)
    mode: int | None  # of a unix socket's inode
    uid: int | None
    gid: int | None
    backlog: int
    proxy_protocol: bool  # each connection begins with a PROXY header
    tls: bool  # its connections begin with a handshake
    http3: bool  # and there is QUIC at the UDP port of the same number


@dataclass(frozen=True, slots=True, kw_only=True, match_args=False)
class CertificatePlan:
    """One certificate that the daemon can show, and the key that goes with it."""

    certificate: str  # file: PEM, its own first, then those of the authorities between
    keyfile: str  # file: PEM
    password: str = field(repr=False)  # of the key; "" for none


@dataclass(frozen=True, slots=True, kw_only=True, match_args=False)
class TlsPlan:
    """TLS, the same for all listeners that are secured."""

    certificates: tuple[CertificatePlan, ...]  # the first is for those who ask for no other's name
    protocol_min: TlsVersion
    ciphers: str  # of TLS 1.2, as OpenSSL writes them
    ca: str  # file: authorities of clients' certificates; "" unless they are asked for
    crls: tuple[str, ...]  # files: what these have revoked
    client_certificate: ClientCertificate
    alpn: tuple[str, ...]  # in order of preference
    handshake_timeout_s: float
    ticket_lifetime_s: float  # of the key of session tickets; 0: there are none


@dataclass(frozen=True, slots=True, kw_only=True, match_args=False)
class QuicPlan:
    """QUIC (RFC 9000), the same for all listeners that have it."""

    idle_timeout_s: float  # without a packet until a connection is forgotten
    retry_above: int  # handshakes at a time above which peers must prove their address; 0: always
    early_data: bool  # 0-RTT: safe requests are answered before the handshake is complete
    alt_svc_port: int  # that clients of HTTP/1 and HTTP/2 are told (RFC 7838); 0: the listener's
    alt_svc_max_age_s: float  # for which they may remember it; 0: they are told nothing


@dataclass(frozen=True, slots=True, kw_only=True, match_args=False)
class Http2Limits:
    """What one peer may cost on HTTP/2 (RFC 9113), beside what holds for every wire."""

    streams: int  # at once: SETTINGS_MAX_CONCURRENT_STREAMS
    frame_bytes: int  # largest payload taken: SETTINGS_MAX_FRAME_SIZE
    fields_bytes: int  # of a field section, as RFC 9113 6.5.2 counts it: MAX_HEADER_LIST_SIZE
    connection_window_bytes: int  # what a peer may send beyond what was read, on all streams
    stream_window_bytes: int  # and on one: SETTINGS_INITIAL_WINDOW_SIZE
    adaptive_window: bool  # let both windows grow with what the connection can carry
    send_buffer_bytes: int  # of an answer, that wait on one stream for the peer's window
    ping_interval_s: float  # between two PING on a silent connection; 0: none are sent
    ping_timeout_s: float  # for the peer's PING ack


@dataclass(frozen=True, slots=True, kw_only=True, match_args=False)
class Http3Limits:
    """What one peer may cost on HTTP/3 (RFC 9114), beside what holds for every wire."""

    streams: int  # at once: initial_max_streams_bidi
    connection_window_bytes: int  # what a peer may send beyond what was read, on all streams
    stream_window_bytes: int  # and on one
    send_buffer_bytes: int  # of an answer, that wait on one stream for the peer's window


@dataclass(frozen=True, slots=True, kw_only=True, match_args=False)
class WebSocketLimits:
    """What one conversation may cost (RFC 6455)."""

    message_bytes: int  # after decompression; 0: unlimited
    frame_bytes: int  # as declared; 0: unlimited
    ping_interval_s: float  # on a conversation in which nothing arrives; 0: none are sent
    ping_timeout_s: float  # for the pong
    compress: bool  # accept permessage-deflate (RFC 7692)


@dataclass(frozen=True, slots=True, kw_only=True, match_args=False)
class Limits:
    """What one peer may cost. Zero switches a limit off where a limit may be switched off."""

    head_bytes: int  # request line and header section together
    head_fields: int
    body_bytes: int  # 0: unlimited
    head_timeout_s: float  # from the first byte of a head to its end; also for the first byte
    idle_timeout_s: float  # between two requests of one connection
    body_timeout_s: float  # without progress of a request body; 0: unlimited
    write_timeout_s: float  # without progress of a response the peer does not read; 0: unlimited
    keep_alive: bool
    h2c: bool  # let a plain connection become HTTP/2 by Upgrade (RFC 7540 3.2)
    http2: Http2Limits
    http3: Http3Limits | None  # None: no listener has it
    alt_svc: str  # value of Alt-Svc on answers; "" for none, as in every plan: the worker knows it
    websocket: WebSocketLimits | None  # None: a request for one is a request like all others


@dataclass(frozen=True, slots=True, kw_only=True, match_args=False)
class Network:
    """IP addresses without a gap, as numbers."""

    bits: Literal[32, 128]  # of an address
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True, match_args=False)
class ForwardingPlan:
    """Whom a worker believes for whom they ask."""

    fields: ForwardedFields  # that are read; the others are the application's to read or not
    everyone: bool
    unix: bool  # peers on unix sockets
    networks: tuple[Network, ...]


@dataclass(frozen=True, slots=True, kw_only=True, match_args=False)
class Identity:
    """Whom a worker becomes before it touches the application. None: stays what it is."""

    uid: int | None
    gid: int | None
    groups: tuple[int, ...]
    user: str  # for the environment (USER, LOGNAME); "" when unknown
    home: str
    umask: int | None


@dataclass(frozen=True, slots=True, kw_only=True, match_args=False)
class MountPlan:
    """A directory whose files are served."""

    route: str  # "" or "/static": what comes before the path of a file
    directory: str  # absolute


@dataclass(frozen=True, slots=True, kw_only=True, match_args=False)
class StaticPlan:
    """Files that are served without the application."""

    mounts: tuple[MountPlan, ...]
    index: str  # name of the file that answers for a directory; "": none does
    expires_s: float  # Cache-Control: max-age; 0: it is not sent
    precompressed: bool  # a sibling with .br, .zst or .gz may be sent instead
    symlinks: SymlinkPolicy


@dataclass(frozen=True, slots=True, kw_only=True, match_args=False)
class WorkerPlan:
    """One worker: the application and how it is run."""

    target: str  # "package.module:attribute"; a file path before the colon is allowed
    interface: InterfaceName
    factory: bool
    working_dir: str  # "" leaves sys.path and the current directory alone
    venv: str  # "": what the application imports is where granian-d is
    loop: LoopName
    engine: EngineName
    http: HttpMode
    url_path_prefix: str
    blocking_threads: int
    blocking_threads_idle_timeout_s: float
    backpressure: int  # connections held at once
    warmup: str  # path that a worker asks itself for before it is ready; "" for none
    health: str  # path at which the daemon answers how the service is; "" for none
    request_timeout_s: float  # of a request until its task is cancelled; 0: never
    lifespan_at_signal: bool  # the application's shutdown begins with the drain, not behind it
    static: StaticPlan | None
    debug: bool  # an exception of the application is shown to the peer
    environment: tuple[tuple[str, str], ...] = field(repr=False)  # of files; the process' own wins
    limits: Limits
    forwarding: ForwardingPlan | None  # None: nobody is believed
    identity: Identity


@dataclass(frozen=True, slots=True, kw_only=True, match_args=False)
class PoolPlan:
    """How many workers, and what the master grants them: what one generation is granted."""

    workers: int
    workers_min: int  # the number follows the load between these two; equal: it does not
    workers_max: int
    threads: int  # of a worker, where each request takes one; 0: it does not
    surge: int  # processes beyond `workers` while one generation replaces another
    canary: bool  # one worker of a new generation must serve before the others are started
    generations: int  # that may drain beside the one that serves
    startup_timeout_s: float  # fork to READY
    drain_timeout_s: float  # drain order to the end of the last request
    stream_timeout_s: float  # drain order to the end of begun answers and WebSockets
    drain_delay_s: float  # health says 503 for that long before a stop begins
    stall_timeout_s: float  # without a heartbeat; 0: never judged
    request_timeout_s: float  # of a request until its worker is replaced; 0: never
    idle_exit_s: float  # without a connection until the daemon leaves; 0: it stays
    recycling: Recycling
    respawn: bool  # a worker that dies is replaced; else the daemon leaves
    respawn_interval_s: float  # a new worker must serve that long before an old one is drained
    preload: bool  # workers are forked by a mold
    refork_after: int  # requests until a worker is made the mold; 0: none is


@dataclass(frozen=True, slots=True, kw_only=True, match_args=False)
class Recycling:
    """When a worker is replaced though nothing is wrong with it. Zero switches a limit off."""

    requests: int
    requests_jitter: int  # at most so many fewer, each worker its own number
    lifetime_s: float
    lifetime_jitter_s: float
    rss_bytes: int
    pss_bytes: int
    sample_interval_s: float  # between two looks at memory
    samples: int  # in a row above the limit


@dataclass(frozen=True, slots=True, kw_only=True, match_args=False)
class LogPlan:
    """Where the daemon's own records go."""

    enabled: bool
    level: LogLevel
    format: LogFormat  # "auto": fields in the journal, text elsewhere
    file: str  # "" is standard error
    config: str  # JSON for logging.config.dictConfig, which takes over; "" for none


@dataclass(frozen=True, slots=True, kw_only=True, match_args=False)
class AccessLogPlan:
    """One line a request, off by default."""

    enabled: bool
    fmt: str  # %-format over the atoms listed in granian_d/observe/access_log.py
    format: AccessFormat  # "journal": a line goes to the file where the journal takes no entry
    file: str  # "" is standard output


@dataclass(frozen=True, slots=True, kw_only=True, match_args=False)
class MetricsPlan:
    """Where metrics are read."""

    address: str  # an IP literal
    port: int
    interval_s: float  # least time between two looks at what costs something to see


@dataclass(frozen=True, slots=True, kw_only=True, match_args=False)
class WatchPlan:
    """Files whose changes are a reload, in development. All paths are absolute."""

    paths: tuple[str, ...]
    ignore_dirs: tuple[str, ...]  # names
    ignore_patterns: tuple[str, ...]  # regular expressions
    ignore_paths: tuple[str, ...]
    tick_s: float  # changes within that time are one
    ignore_worker_failure: bool  # the daemon stays, and says what is wrong


@dataclass(frozen=True, slots=True, kw_only=True, match_args=False)
class MasterPlan:
    """What only a restart changes: it is read once, by the first plan."""

    process_name: str  # the name in brackets of the process titles
    pid_file: str  # "" writes none
    control_socket: str  # path; "" for none


@dataclass(frozen=True, slots=True, kw_only=True, match_args=False)
class DaemonPlan:
    """All of it."""

    version: str  # of the granian-d that made it; another one's is refused
    master: MasterPlan
    listeners: tuple[ListenerPlan, ...]
    pool: PoolPlan
    tls: TlsPlan | None
    quic: QuicPlan | None  # None: no listener has HTTP/3
    metrics: MetricsPlan | None
    watch: WatchPlan | None
    worker: WorkerPlan
    log: LogPlan
    access_log: AccessLogPlan


def site_packages(venv: str) -> str:
    """Where the packages of a virtual environment are, if this Python can use them."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return os.path.join(venv, "lib", version, "site-packages")
