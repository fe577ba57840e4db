import asyncio
import socket
from collections.abc import Callable

from granian_d.engine.contract import EndpointMaker, Leave, Service
from granian_d.plan import Limits
from granian_d.transport.deadlines import Deadlines

class DirectConnection:
    def abort(self) -> int: ...

class DirectConnections:
    open: set[DirectConnection]
    deadlines: Deadlines
    deadline: float
    def __init__(
        self,
        service: Service,
        limits: Limits,
        deadlines: Deadlines,
        changed: Callable[[int], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None: ...
    def take(
        self, sock: socket.socket, loop: asyncio.AbstractEventLoop, maker: EndpointMaker
    ) -> None: ...
    def expire(self) -> None: ...
    def drain(self, leave: Leave) -> None: ...
