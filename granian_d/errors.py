"""The one error tree.

    DaemonError
     +- ConfigError            what the user wrote cannot be used            (exit 78)
     +- ListenError            an address cannot be bound or inherited       (exit 71)
     +- ApplicationError       the application's side of the contract
     |   +- LoadError          it cannot be imported or found                (exit 70)
     |   +- StartupError       it imported, but refused to start             (exit 70)
     |   +- InvalidResponse    a status or header that must not go out       (HTTP 500)
     |   +- FlowError          right message, wrong moment                   (HTTP 500)
     +- RemoteError            the peer's side of the contract
         +- Disconnected       the peer has gone
         |   +- SessionClosed  a WebSocket conversation is over
         +- ProtocolViolation  the peer broke a rule                         (HTTP 400)
             +- RequestTimeout, BodyTooLarge, TargetTooLong,
                HeadTooLarge, ExpectationFailed, MisdirectedRequest,
                UpgradeRequired, MethodNotImplemented, VersionNotSupported

What a fault means outside is data on its class: the exit status of a process (sysexits.h) and
the HTTP status of an answer. Faults are translated at the border where they leave a floor, and
nowhere else; nothing here logs.
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


class ListenError(DaemonError):
    """An address that cannot be listened on. The message names it and says why."""

    exit_code = 71  # EX_OSERR


class ApplicationError(DaemonError):
    """The application broke its side of the contract."""


class LoadError(ApplicationError):
    """The application cannot be imported, found or called."""


class StartupError(ApplicationError):
    """The application was imported and then refused to start."""


class InvalidResponse(ApplicationError):
    """A status, header or body of the application that must not reach the wire."""


class FlowError(ApplicationError):
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
    """

    http_status = 400
    fields: ClassVar[tuple[tuple[bytes, bytes], ...]] = ()  # that an answer must have

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
    """A WebSocket of a version that is not spoken (RFC 6455 4.4; RFC 9110 15.5.22)."""

    http_status = 426
    fields = ((b"upgrade", b"websocket"), (b"sec-websocket-version", b"13"))


class HeadTooLarge(ProtocolViolation):
    """Header section passes a limit in bytes or in fields (RFC 6585 5)."""

    http_status = 431


class MethodNotImplemented(ProtocolViolation):
    """A method or transfer coding this server does not implement (RFC 9110 15.6.2)."""

    http_status = 501


class VersionNotSupported(ProtocolViolation):
    """A major version this server does not speak (RFC 9110 15.6.6)."""

    http_status = 505
