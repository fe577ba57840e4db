"""What RSGI raises into an application. RuntimeErrors by its rules, and of our tree by ours."""

from __future__ import annotations

from granian_d.errors import Disconnected, FlowError


class ProtocolError(FlowError, RuntimeError):
    """Something was asked of a protocol object that it cannot do, or not any more."""

    def __init__(self, reason: str = "RSGI protocol error") -> None:
        super().__init__(reason)


class ProtocolClosed(Disconnected, RuntimeError):
    """The peer has gone."""

    def __init__(self, reason: str = "RSGI transport is closed") -> None:
        super().__init__(reason)
