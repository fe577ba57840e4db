"""The access log as entries of the journal: each request with its facts as fields.

Imported only where that is asked for. The names of the fields are a public face: docs/journal.md.
"""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Final

from granian_d.observe.access_log import harmless
from granian_d.observe.entries import Entries, field_name
from granian_d.observe.events import LEVELS
from granian_d.observe.request_ids import brought_by

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from granian_d.http.exchange import Exchange
    from granian_d.observe.access_log import AccessLog
    from granian_d.observe.entries import Send

USER_AGENT: Final = b"user-agent"
MOST_AGENT_CHARS: Final = 256


def of_exchange(exchange: Exchange, line: str) -> dict[str, str]:
    """The entry of a request. No query: it may hold secrets."""
    head = exchange.head
    entry = {
        "MESSAGE": line,
        "PRIORITY": str(LEVELS["info"].priority),
        "GRANIAN_EVENT": "access",
        "REQUEST_METHOD": head.method,
        "REQUEST_PATH": harmless(head.raw_path),
        "REQUEST_PROTOCOL": f"HTTP/{head.version}",
        "REQUEST_SCHEME": exchange.peer.scheme,
        "REQUEST_AUTHORITY": harmless(head.authority),
        "REMOTE_ADDR": exchange.peer.client[0] if exchange.peer.client else "",
        "STATUS": str(exchange.status),
        "RESPONSE_BYTES": str(exchange.sent_bytes),
        "DURATION_US": str((monotonic_ns() - exchange.started_ns) // 1000),
    }
    if (name := brought_by(head)) is not None:
        entry["REQUEST_ID"] = name
    for field, value in head.fields:
        if field == USER_AGENT:
            entry["USER_AGENT"] = harmless(value)[:MOST_AGENT_CHARS]
            break
    return entry


class AccessEntries:
    """An access log that writes entries: see `access_log.AccessLog`, whose place it takes.

    Args:
        plain: makes the line, and writes it where the journal does not take the entry.
        later: has something called at the end of the turn.
        send: hands over one entry.
        who: fields of this process (worker, generation).
    """

    __slots__ = ("_entries", "_later", "_plain", "_waiting", "_who", "wants_ids")

    def __init__(
        self,
        plain: AccessLog,
        later: Callable[[Callable[[], None]], object],
        send: Send,
        who: Mapping[str, Any],
    ) -> None:
        self._plain = plain
        self.wants_ids = plain.wants_ids
        self._later = later
        self._entries = Entries(send, plain.file)
        self._who = {field_name(field): str(value) for field, value in who.items()}
        self._waiting: list[dict[str, str]] = []

    def write(self, exchange: Exchange) -> None:
        """Send the entry of one exchange at the end of this turn, after the response."""
        entry = of_exchange(exchange, self._plain.line(exchange)[:-1])
        self._waiting.append({**entry, **self._who})
        if len(self._waiting) == 1:
            self._later(self.flush)

    def flush(self) -> None:
        """Send what has come together."""
        waiting, self._waiting = self._waiting, []
        left = [entry for entry in waiting if not self._entries.put(entry)]
        if left:
            self._plain.file.write_lines([f"{entry['MESSAGE']}\n".encode() for entry in left])
