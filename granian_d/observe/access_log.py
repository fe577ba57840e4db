"""The access log: Granian's atoms and more, in a format that is compiled once into getters.

A format is a %-format over the atoms below, for example the default one of the Settings:
`[%(time)s] %(addr)s - "%(method)s %(path)s %(protocol)s" %(status)d %(dt_ms).3f`. A request header
is written `%(header{User-Agent})s`. Bytes of the peer are made harmless before they reach a line:
what is not printable ASCII, a quote or a backslash is escaped, so that no request can forge a
second line or an escape sequence of a terminal.
"""

from __future__ import annotations

import os
import re
import time
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Final

from granian_d.observe import request_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from granian_d.http.exchange import Exchange
    from granian_d.observe.log import LogFile

    Getter = Callable[[Any], Any]  # of an exchange, or of None to try a format


ATOMS: Final[dict[str, str]] = {
    "addr": "address of the peer, without port; empty on a unix socket",
    "port": "port of the peer, 0 on a unix socket (integer)",
    "time": "local time at which the request's head was complete, 2026-01-31 23:59:59 +0100",
    "time_iso": "the same as RFC 3339 wants it, 2026-01-31T23:59:59.123+01:00",
    "time_clf": "the same as in the Common Log Format, 31/Jan/2026:23:59:59 +0100",
    "dt_ms": "milliseconds from the end of the request's head to the end of the response (float)",
    "dt_us": "the same in microseconds (integer)",
    "dt_s": "the same in seconds (float)",
    "status": (
        "status of the response; 101 (HTTP/2: 200) of a WebSocket, 0 when the connection broke"
        " before there was one (integer)"
    ),
    "size": "bytes of the response's body (integer)",
    "method": "method as sent",
    "path": "path of the target as sent",
    "query_string": "what follows the first question mark",
    "target": "path, question mark and query as sent",
    "authority": "host that was asked for: `:authority` or the field Host",
    "scheme": "http or https",
    "protocol": "HTTP/1.0, HTTP/1.1, HTTP/2",
    "request_id": "X-Request-ID of the request; one that is made where it brings none",
    "worker": "number of the worker (integer)",
    "generation": "its generation (integer)",
    "pid": "its process id (integer)",
    "header{NAME}": "request header NAME in any case, the first of several, '-' when it is missing",
}

# What a process knows of itself; 0 stands for it where a format is tried.
OF_THE_PROCESS: Final = ("worker", "generation", "pid")
# strftime's follow the locale.
_MONTHS: Final = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)
_SECOND_NS: Final = 1_000_000_000

_CONVERSION = re.compile(
    r"%(?:(?P<literal>%)|\((?P<atom>[^(){}]*(?:\{[^{}]*\})?)\)"
    r"(?P<spec>[-#0 +]*\d*(?:\.\d+)?[sdifFgGeErxXo]))"
)
_HEADER = re.compile(r"header\{([^{}]*)\}")
_UNSAFE = re.compile(rb'[^\x20-\x7e]|["\\]')


def check_format(fmt: str) -> None:
    """Raise if `fmt` is not a format over the atoms.

    Raises:
        ValueError: with one line that says where it is wrong and what is nearest.
    """
    pattern, atoms = _compile(fmt)
    samples = tuple(getter_of(atom, {})(None) for atom in atoms)
    try:
        (pattern % samples).encode()
    except UnicodeEncodeError as error:
        raise ValueError("it holds characters that no file can (lone surrogates)") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"not a format for these atoms: {error}") from error


def atoms_of(fmt: str) -> list[str]:
    """The atoms of a format, in its order: "status", "header{User-Agent}".

    Raises:
        ValueError: it is none.
    """
    return _compile(fmt)[1]


def _compile(fmt: str) -> tuple[str, list[str]]:
    """The format with positional conversions, and the atom of each of them."""
    atoms: list[str] = []
    pattern: list[str] = []
    position = 0
    for match in _CONVERSION.finditer(fmt):
        _refuse_stray_percent(fmt, position, match.start())
        pattern.append(fmt[position : match.start()])
        position = match.end()
        if match["literal"]:
            pattern.append("%%")
            continue
        _refuse_unknown(match["atom"])
        atoms.append(match["atom"])
        pattern.append("%" + match["spec"])
    _refuse_stray_percent(fmt, position, len(fmt))
    pattern.append(fmt[position:])
    return "".join(pattern), atoms


def _refuse_stray_percent(fmt: str, start: int, end: int) -> None:
    if (at := fmt.find("%", start, end)) >= 0:
        raise ValueError(f"{fmt[at : at + 12]!r} is not of the form %(atom)s, nor %%")


def _refuse_unknown(atom: str) -> None:
    if atom in ATOMS or _HEADER.fullmatch(atom):
        return
    import difflib  # noqa: PLC0415 - for a mistake only, which no worker ever sees

    near = difflib.get_close_matches(atom, ATOMS, n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(ATOMS)}"
    raise ValueError(f"no atom is called {atom!r}{hint}")


def getter_of(atom: str, who: Mapping[str, int], missing: str | None = "-") -> Getter:
    """What gets the value of an atom out of an exchange.

    Args:
        atom: as `atoms_of` has it.
        who: what the process is: worker, generation.
        missing: stands for a header that is not there.
    """
    if header := _HEADER.fullmatch(atom):
        return _header_getter(header[1], missing)
    if atom in OF_THE_PROCESS:
        known = {"pid": os.getpid(), **who}.get(atom, 0)
        return lambda _: known
    return _GETTERS[atom]


def _escape(match: re.Match[bytes]) -> bytes:
    return b"\\x%02x" % match[0][0]


def harmless(value: bytes) -> str:
    """The peer's bytes as printable ASCII, without quotes and backslashes."""
    return _UNSAFE.sub(_escape, value).decode("ascii")


def _header_getter(header: str, missing: str | None) -> Getter:
    name = header.lower().encode("utf-8", "backslashreplace")

    def get(exchange: Exchange | None) -> str | None:
        if exchange is not None:
            for field, value in exchange.head.fields:
                if field == name:
                    return harmless(value)
        return missing

    return get


class _Clock:
    """Local time of moments of CLOCK_MONOTONIC, as text that is made once a second.

    strftime costs more than all the other atoms together.
    """

    __slots__ = ("_begin_ns", "_end_ns", "_form", "_text")

    def __init__(self, form: Callable[[time.struct_time], str]) -> None:
        self._form = form
        self._text = ""
        self._begin_ns = self._end_ns = 0  # of the second that the text is of

    def text(self, at_ns: int) -> str:
        if not self._begin_ns <= at_ns < self._end_ns:
            offset_ns = time.time_ns() - monotonic_ns()  # looked at each time: it may be set
            second = (at_ns + offset_ns) // _SECOND_NS
            self._begin_ns = second * _SECOND_NS - offset_ns
            self._end_ns = self._begin_ns + _SECOND_NS
            self._text = self._form(time.localtime(second))
        return self._text

    def milliseconds(self, at_ns: int) -> int:
        """Of the moment that `text` was last asked for, within its second."""
        return (at_ns - self._begin_ns) // 1_000_000


def _iso(local: time.struct_time) -> str:
    zone = time.strftime("%z", local)
    return time.strftime("%Y-%m-%dT%H:%M:%S.%%03d", local) + f"{zone[:3]}:{zone[3:]}"


def _clf(local: time.struct_time) -> str:
    month = _MONTHS[local.tm_mon - 1]
    return time.strftime(f"%d/{month}/%Y:%H:%M:%S %z", local)


_time = _Clock(lambda local: time.strftime("%Y-%m-%d %H:%M:%S %z", local))
_time_iso = _Clock(_iso)
_time_clf = _Clock(_clf)


def _iso_time(e: Exchange) -> str:
    return _time_iso.text(e.started_ns) % _time_iso.milliseconds(e.started_ns)


def _target(e: Exchange) -> str:
    head = e.head
    return harmless(head.raw_path + b"?" + head.query if head.query else head.raw_path)


# Each getter takes None as well: check_format tries a format without an exchange.
_GETTERS: Final[dict[str, Getter]] = {
    "addr": lambda e: e.peer.client[0] if e and e.peer.client else "",
    "port": lambda e: e.peer.client[1] if e and e.peer.client else 0,
    "time": lambda e: _time.text(e.started_ns) if e else "",
    "time_iso": lambda e: _iso_time(e) if e else "",
    "time_clf": lambda e: _time_clf.text(e.started_ns) if e else "",
    "dt_ms": lambda e: (monotonic_ns() - e.started_ns) / 1e6 if e else 0.0,
    "dt_us": lambda e: (monotonic_ns() - e.started_ns) // 1000 if e else 0,
    "dt_s": lambda e: (monotonic_ns() - e.started_ns) / 1e9 if e else 0.0,
    "status": lambda e: e.status if e else 0,
    "size": lambda e: e.sent_bytes if e else 0,
    "method": lambda e: e.head.method if e else "",
    "path": lambda e: harmless(e.head.raw_path) if e else "",
    "query_string": lambda e: harmless(e.head.query) if e else "",
    "target": lambda e: _target(e) if e else "",
    "authority": lambda e: harmless(e.head.authority) if e else "",
    "scheme": lambda e: e.peer.scheme if e else "",
    "protocol": lambda e: f"HTTP/{e.head.version}" if e else "",
    "request_id": lambda e: request_ids.of(e.head) if e else "",
}


class AccessLog:
    """Writes one line for each finished exchange.

    Those of one turn of the loop are written at once: a system call for each would cost more than
    the exchange itself. A worker that is killed loses the lines of that turn, and no others.

    Args:
        fmt: the format.
        file: the lines go there.
        later: has something called at the end of the turn (the loop's call_soon).
        who: what the process is: worker, generation.

    Attributes:
        file: the same.
        wants_ids: each request has to have an id (`request_ids`).
    """

    __slots__ = ("_getters", "_later", "_lines", "_pattern", "file", "wants_ids")

    def __init__(
        self,
        fmt: str,
        file: LogFile,
        later: Callable[[Callable[[], None]], object],
        who: Mapping[str, int] | None = None,
    ) -> None:
        pattern, atoms = _compile(fmt)
        self._getters = [getter_of(atom, who or {}) for atom in atoms]
        self.wants_ids = "request_id" in atoms
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
