"""The one error tree.

    DaemonError
     +- ConfigError            what the user wrote cannot be used            (exit 78)
     |   +- EngineMissing      the engine, or (LoopMissing) the event loop is not installed
     |   +- PidFileError       the pid file is another's, or cannot be written
     +- ListenError            an address cannot be bound or inherited       (exit 71)
     +- DaemonUnreachable      no daemon answers granianctl                  (exit 69)
     |   +- ControlTimeout     it did not answer in time                     (exit 75)
     +- ApplicationError       the application's side of the contract
     |   +- LoadError          it cannot be imported or found                (exit 65)
     |   |   +- ImportRaised   its own code raised while it was imported     (exit 70)
     |   +- StartupError       it imported, but refused to start             (exit 70)
     |   +- InvalidResponse    a status or header that must not go out       (HTTP 500)
     |   +- FlowError          right message, wrong moment                   (HTTP 500)
     +- RemoteError            the peer's side of the contract
         +- Disconnected       the peer has gone
         |   +- SessionClosed  a WebSocket conversation is over
         +- ProtocolViolation  the peer broke a rule                         (HTTP 400)
             +- RequestTimeout, BodyTooLarge, TargetTooLong,
             |  HeadTooLarge, ExpectationFailed, MisdirectedRequest,
             |  UpgradeRequired, MethodNotImplemented, VersionNotSupported
             +- InvalidText                                            (of WebSocket)
             +- FlowControlBroken, StreamIsClosed,                     (of HTTP/2)
             +- FrameSizeWrong, StreamRefused, CompressionBroken,
             |  PeerTooBusy                                            (of HTTP/2 and HTTP/3)
             +- StreamUnwanted, CriticalStreamClosed,
                FrameUnexpected, WrongId, SettingsWrong,
                SettingsMissing, RequestIncomplete,
                EncoderStreamBroken, DecoderStreamBroken               (of HTTP/3)

What a fault means outside is data on its class: the exit status of a process (sysexits.h), the
HTTP status of an answer, the error codes of HTTP/2 and HTTP/3, the code with which a WebSocket is
closed (RFC 6455 7.4.1). Faults are translated at the border where they leave a floor, and nowhere
else; nothing here logs.
"""

from __future__ import annotations

from typing import ClassVar


class DaemonError(Exception):
    """Root of every error that granian-d raises on purpose."""

    exit_code: ClassVar[int] = 70  # EX_SOFTWARE
    http_status: ClassVar[int] = 500


class ConfigError(DaemonError):
    """Settings that cannot be used. The message is one complete line for the user."""

    exit_code = 78  # EX_CONFIG: the units do not retry it (RestartPreventExitStatus=78)


class EngineMissing(ConfigError):
    """The engine that is wanted is not part of this installation."""


class LoopMissing(ConfigError, RuntimeError):
    """The event loop that is wanted is not part of this installation."""


class PidFileError(ConfigError):
    """The pid file names a process that runs, is none, or cannot be written."""


class ListenError(DaemonError):
    """An address that cannot be listened on. The message names it and says why."""

    exit_code = 71  # EX_OSERR


class DaemonUnreachable(DaemonError):
    """The control socket of a daemon cannot be found, or nobody answers behind it."""

    exit_code = 69  # EX_UNAVAILABLE


class ControlTimeout(DaemonUnreachable):
    """A daemon did not answer in time; what was asked of it may still happen."""

    exit_code = 75  # EX_TEMPFAIL


class ApplicationError(DaemonError):
    """The application broke its side of the contract."""


class LoadError(ApplicationError):
    """The application cannot be imported, found or called: only other code could be."""

    exit_code = 65  # EX_DATAERR: the units do not retry it (RestartPreventExitStatus=65)


class ImportRaised(LoadError):
    """The application raised while it was imported, for what may be over in a while.

    A database that is not there yet, say: the units try again.
    """

    exit_code = 70


class StartupError(ApplicationError):
    """The application was imported and then refused to start."""


class InvalidResponse(ApplicationError, RuntimeError):
    """A status, header or body of the application that must not reach the wire.

    A RuntimeError as well, as FlowError is: what other servers raise, and applications catch.
    """


class FlowError(ApplicationError, RuntimeError):
    """A message of the application at a moment at which it has no meaning."""


class RemoteError(DaemonError):
    """The peer is the cause; the worker is well."""


class Disconnected(RemoteError, ConnectionResetError):
    """The peer has gone. An OSError too, as ASGI 2.4 wants for `send`."""


class SessionClosed(Disconnected):
    """A WebSocket conversation is over.

    Args:
        code: why (RFC 6455 7.4; 1005 and 1006 are never on the wire).
        reason: that the peer gave.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"the conversation is closed ({code})")
        self.code = code
        self.reason = reason


class ProtocolViolation(RemoteError):
    """The peer broke a rule of the protocol.

    Args:
        reason: what is wrong, in a few words, fit for a log line (no bytes of the peer).
        section: the rule that was broken, for example "RFC 9112 6.3".

    On HTTP/2 and HTTP/3 a request whose violation has another status than 400 is answered; one that
    is merely malformed has its stream reset with `h2_code` (RFC 9113 7, 8.1.1) or `h3_code` (RFC
    9114 8.1, 4.1.2; RFC 9204 6).
    """

    http_status = 400
    h2_code: ClassVar[int] = 1  # PROTOCOL_ERROR
    h3_code: ClassVar[int] = 0x10E  # H3_MESSAGE_ERROR
    close_code: ClassVar[int] = 1002
    answer_fields: ClassVar[tuple[tuple[bytes, bytes], ...]] = ()  # that the answer must have

    def __init__(self, reason: str, section: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.section = section


class RequestTimeout(ProtocolViolation):
    """The request did not arrive in time (RFC 9110 15.5.9)."""

    http_status = 408


class BodyTooLarge(ProtocolViolation):
    """The body passes the limit (RFC 9110 15.5.14)."""

    http_status = 413
    close_code = 1009


class TargetTooLong(ProtocolViolation):
    """The request target passes the limit (RFC 9110 15.5.15)."""

    http_status = 414


class ExpectationFailed(ProtocolViolation):
    """An expectation other than 100-continue (RFC 9110 15.5.18)."""

    http_status = 417


class MisdirectedRequest(ProtocolViolation):
    """A target this connection cannot speak for (RFC 9110 15.5.20)."""

    http_status = 421


class UpgradeRequired(ProtocolViolation):
    """A WebSocket of a version that this server does not speak (RFC 6455 4.4).

    On HTTP/1.1 its answer has Upgrade, too (RFC 9110 15.5.22): that is about the connection.
    """

    http_status = 426
    answer_fields = ((b"sec-websocket-version", b"13"),)


class InvalidText(ProtocolViolation):
    """A payload that is not what its message says it is: UTF-8, or DEFLATE (RFC 6455 8.1)."""

    close_code = 1007


class HeadTooLarge(ProtocolViolation):
    """Header section passes a limit in bytes or in fields (RFC 6585 5)."""

    http_status = 431


class MethodNotImplemented(ProtocolViolation):
    """A method or transfer coding this server does not implement (RFC 9110 15.6.2)."""

    http_status = 501


class VersionNotSupported(ProtocolViolation):
    """A major version this server does not speak (RFC 9110 15.6.6)."""

    http_status = 505


class FlowControlBroken(ProtocolViolation):
    """More data than the window allowed, or a window beyond 2**31-1 (RFC 9113 6.9.1)."""

    h2_code = 3  # FLOW_CONTROL_ERROR


class StreamIsClosed(ProtocolViolation):
    """A frame on a stream that the peer has ended (RFC 9113 5.1)."""

    h2_code = 5  # STREAM_CLOSED


class FrameSizeWrong(ProtocolViolation):
    """A frame longer than was allowed, or of another length than its type has (RFC 9113 4.2).

    On HTTP/3 also one that the end of its stream cuts (RFC 9114 7.1).
    """

    h2_code = 6  # FRAME_SIZE_ERROR
    h3_code = 0x106  # H3_FRAME_ERROR


class StreamRefused(ProtocolViolation):
    """A stream beyond those that are announced or looked at; it may be tried again.

    RFC 9113 5.1.2, RFC 9114 5.2.
    """

    http_status = 503
    h2_code = 7  # REFUSED_STREAM
    h3_code = 0x10B  # H3_REQUEST_REJECTED


class CompressionBroken(ProtocolViolation):
    """A field block that cannot be decoded (RFC 7541, RFC 9204): no other can be, after it."""

    h2_code = 9  # COMPRESSION_ERROR
    h3_code = 0x200  # QPACK_DECOMPRESSION_FAILED


class PeerTooBusy(ProtocolViolation):
    """More of something than an honest peer would send (RFC 9113 10.5, RFC 9114 10.5)."""

    http_status = 429
    h2_code = 11  # ENHANCE_YOUR_CALM
    h3_code = 0x107  # H3_EXCESSIVE_LOAD


class StreamUnwanted(ProtocolViolation):
    """A stream that a peer may not open: push, or a second one of its kind (RFC 9114 6.2)."""

    h3_code = 0x103  # H3_STREAM_CREATION_ERROR


class CriticalStreamClosed(ProtocolViolation):
    """The end of a stream that has to last as long as the connection (RFC 9114 6.2.1)."""

    h3_code = 0x104  # H3_CLOSED_CRITICAL_STREAM


class FrameUnexpected(ProtocolViolation):
    """A frame where frames of its type do not belong (RFC 9114 7.2)."""

    h3_code = 0x105  # H3_FRAME_UNEXPECTED


class WrongId(ProtocolViolation):
    """A number of a stream or a push that it cannot be (RFC 9114 5.2, 7.2.3, 7.2.7)."""

    h3_code = 0x108  # H3_ID_ERROR


class SettingsWrong(ProtocolViolation):
    """A setting twice, of HTTP/2, or with a value that it cannot have (RFC 9114 7.2.4)."""

    h3_code = 0x109  # H3_SETTINGS_ERROR


class SettingsMissing(ProtocolViolation):
    """A control stream that begins with something else than SETTINGS (RFC 9114 6.2.1)."""

    h3_code = 0x10A  # H3_MISSING_SETTINGS


class RequestIncomplete(ProtocolViolation):
    """A stream that ends before there is a whole request on it (RFC 9114 4.1)."""

    h3_code = 0x10D  # H3_REQUEST_INCOMPLETE


class EncoderStreamBroken(ProtocolViolation):
    """Instructions for a table that we do not have, or none at all (RFC 9204 4.3)."""

    h3_code = 0x201  # QPACK_ENCODER_STREAM_ERROR


class DecoderStreamBroken(ProtocolViolation):
    """News about what we have not sent, or none at all (RFC 9204 4.4)."""

    h3_code = 0x202  # QPACK_DECODER_STREAM_ERROR


# What Granian calls them, for programs that know it.
FatalError = DaemonError
ConfigurationError = ConfigError


def told(line: str, exit_code: int) -> DaemonError:
    """The error that another process of ours tells by one line and its exit status."""
    kinds = (ConfigError, ListenError)
    return next((one for one in kinds if one.exit_code == exit_code), DaemonError)(line)
