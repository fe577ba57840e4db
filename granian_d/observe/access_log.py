"""The access log: Granian's atoms and format, compiled once into a list of getters.

A format is a %-format over the atoms below, for example the default one of the Settings:
`[%(time)s] %(addr)s - "%(method)s %(path)s %(protocol)s" %(status)d %(dt_ms).3f`. A request header
is written `%(header{User-Agent})s`. Bytes of the peer are made harmless before they reach a line:
what is not printable ASCII, a quote or a backslash is escaped, so that no request can forge a
second line or an escape sequence of a terminal.
"""

from __future__ import annotations

import re
import time
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from granian_d.http.exchange import Exchange
    from granian_d.observe.log import LogFile


ATOMS: Final[dict[str, str]] = {
    "addr": "address of the peer, without port; empty on a unix socket",
    "time": "local time at which the line is written, 2026-01-31 23:59:59 +0100",
    "dt_ms": "milliseconds from the end of the request's head to the end of the response (float)",
    "status": "status of the response; 0 when the connection broke before there was one (integer)",
    "path": "path of the target as sent",
    "query_string": "what follows the first question mark",
    "method": "method as sent",
    "scheme": "http or https",
    "protocol": "HTTP/1.0, HTTP/1.1, HTTP/2",
    "size": "bytes of the response's body (integer)",
    "header{NAME}": "request header NAME, '-' when it is missing",
}

_CONVERSION = re.compile(
    r"%(?:(?P<literal>%)|\((?P<atom>[^(){}]*(?:\{(?P<header>[^{}]*)\})?)\)"
    r"(?P<spec>[-#0 +]*\d*(?:\.\d+)?[sdifFgGeErxXo]))"
)
_UNSAFE = re.compile(rb'[^\x20-\x7e]|["\\]')


def check_format(fmt: str) -> None:
    """Raise if `fmt` is not a format over the atoms.

    Raises:
        ValueError: with one line that says where it is wrong and what is nearest.
    """
    pattern, getters = _compile(fmt)
    samples = tuple(getter(None) for getter in getters)
    try:
        (pattern % samples).encode()
    except UnicodeEncodeError as error:
        raise ValueError("it holds characters that no file can (lone surrogates)") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"not a format for these atoms: {error}") from error


def _compile(fmt: str) -> tuple[str, list[Callable[[Any], Any]]]:
    """The format with positional conversions, and a getter for each of them."""
    getters: list[Callable[[Any], Any]] = []
    pattern: list[str] = []
    position = 0
    for match in _CONVERSION.finditer(fmt):
        _refuse_stray_percent(fmt, position, match.start())
        pattern.append(fmt[position : match.start()])
        position = match.end()
        if match["literal"]:
            pattern.append("%%")
            continue
        getters.append(_getter(match["atom"], match["header"]))
        pattern.append("%" + match["spec"])
    _refuse_stray_percent(fmt, position, len(fmt))
    pattern.append(fmt[position:])
    return "".join(pattern), getters


def _refuse_stray_percent(fmt: str, start: int, end: int) -> None:
    if (at := fmt.find("%", start, end)) >= 0:
        raise ValueError(f"{fmt[at : at + 12]!r} is not of the form %(atom)s, nor %%")


def _getter(atom: str, header: str | None) -> Callable[[Any], Any]:
    if header is not None and atom == f"header{{{header}}}":
        return _header_getter(header)
    getter = _GETTERS.get(atom)
    if getter is None:
        import difflib  # noqa: PLC0415 - for a mistake only, which no worker ever sees

        near = difflib.get_close_matches(atom, ATOMS, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(ATOMS)}"
        raise ValueError(f"no atom is called {atom!r}{hint}")
    return getter


def _escape(match: re.Match[bytes]) -> bytes:
    return b"\\x%02x" % match[0][0]


def harmless(value: bytes) -> str:
    """The peer's bytes as printable ASCII, without quotes and backslashes."""
    return _UNSAFE.sub(_escape, value).decode("ascii")


def _header_getter(header: str) -> Callable[[Exchange | None], str]:
    name = header.lower().encode()

    def get(exchange: Exchange | None) -> str:
        if exchange is not None:
            for field, value in exchange.head.fields:
                if field == name:
                    return harmless(value)
        return "-"

    return get


class _LocalTime:
    """The time of the last line: strftime costs more than all the other atoms together."""

    __slots__ = ("second", "text")

    def __init__(self) -> None:
        self.second = -1
        self.text = ""

    def __call__(self) -> str:
        second = int(time.time())
        if second != self.second:
            self.second = second
            self.text = time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(second))
        return self.text


_local_time = _LocalTime()


# Each getter takes None as well: check_format tries a format without an exchange.
_GETTERS: Final[dict[str, Callable[[Any], Any]]] = {
    "addr": lambda e: e.peer.client[0] if e and e.peer.client else "",
    "time": lambda _: _local_time(),
    "dt_ms": lambda e: (monotonic_ns() - e.started_ns) / 1e6 if e else 0.0,
    "status": lambda e: e.status if e else 0,
    "path": lambda e: harmless(e.head.raw_path) if e else "",
    "query_string": lambda e: harmless(e.head.query) if e else "",
    "method": lambda e: e.head.method if e else "",
    "scheme": lambda e: e.peer.scheme if e else "",
    "protocol": lambda e: f"HTTP/{e.head.version}" if e else "",
    "size": lambda e: e.sent_bytes if e else 0,
}


class AccessLog:
    """Writes one line for each finished exchange.

    Those of one turn of the loop are written at once: a system call for each would cost more than
    the exchange itself. A worker that is killed loses the lines of that turn, and no others.

    Args:
        fmt: the format.
        file: the lines go there.
        later: has something called at the end of the turn (the loop's call_soon).
    """

    __slots__ = ("_getters", "_later", "_lines", "_pattern", "file")

    def __init__(
        self, fmt: str, file: LogFile, later: Callable[[Callable[[], None]], object]
    ) -> None:
        pattern, self._getters = _compile(fmt)
        self._pattern = pattern + "\n"
        self._later = later
        self._lines: list[bytes] = []
        self.file = file

    def line(self, exchange: Exchange) -> str:
        """The line of one exchange, with its newline."""
        return self._pattern % tuple([getter(exchange) for getter in self._getters])

    def write(self, exchange: Exchange) -> None:
        """Write the line of one exchange, with the others of this turn."""
        self._lines.append(self.line(exchange).encode())
        if len(self._lines) == 1:
            self._later(self.flush)

    def flush(self) -> None:
        """Write what has come together."""
        lines, self._lines = self._lines, []
        if lines:
            self.file.write_lines(lines)
