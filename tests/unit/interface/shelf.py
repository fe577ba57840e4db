"""A directory of files for tests, and what a Site answers of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from granian_d.http import states
from granian_d.interface.static import Site
from granian_d.plan import MountPlan, StaticPlan

from .memory import MemoryExchange, request

if TYPE_CHECKING:
    from pathlib import Path

SECOND_NS = 1_000_000_000
MODIFIED_S = 1_700_000_000  # Tue, 14 Nov 2023 22:13:20 GMT
MODIFIED = b"Tue, 14 Nov 2023 22:13:20 GMT"
BEFORE = b"Tue, 14 Nov 2023 22:13:19 GMT"
NOW_NS = (MODIFIED_S + 3600) * SECOND_NS


class Answer:
    """What an exchange was answered with."""

    def __init__(self, exchange: MemoryExchange) -> None:
        self.exchange = exchange
        self.status = exchange.status
        self.fields = dict(exchange.fields)
        assert len(self.fields) == len(exchange.fields), "a field twice"
        self.body = exchange.body

    def __getitem__(self, name: str) -> bytes | None:
        return self.fields.get(name.encode())


class Shelf:
    """A mount at "/static", unless told otherwise.

    Args:
        directory: of the mount.
        changes: fields of the StaticPlan that differ.
    """

    def __init__(self, directory: Path, **changes: Any) -> None:
        self.directory = directory
        self.now_ns = NOW_NS
        facts: dict[str, Any] = {
            "mounts": (MountPlan(route="/static", directory=str(directory)),),
            "index": "",
            "expires_s": 0.0,
            "precompressed": True,
            "symlinks": "inside",
        }
        self.site = Site(StaticPlan(**(facts | changes)), lambda: self.now_ns)

    def put(self, name: str, content: bytes = b"content", at_ns: int = 0) -> Path:
        """Write a file that was modified at MODIFIED, or then."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        stamp = at_ns or MODIFIED_S * SECOND_NS
        os.utime(path, ns=(stamp, stamp))
        return path

    def ask(self, path: str, method: str = "GET", **fields: str) -> Answer:
        """What is answered; fields by their names with underscores."""
        given = [(name.replace("_", "-").encode(), fields[name].encode()) for name in fields]
        exchange = MemoryExchange(request(path.encode(), method, given))
        assert self.site.serve(exchange)
        assert exchange.state == states.FINISHED
        return Answer(exchange)

    def passes_on(self, path: str) -> bool:
        """It is left to the application."""
        exchange = MemoryExchange(request(path.encode()))
        taken = self.site.serve(exchange)
        assert taken is (exchange.state != states.AWAITED)
        return not taken
