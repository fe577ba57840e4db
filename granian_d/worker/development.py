"""What only development has: pages that show tracebacks, and a stand-in for an application that
cannot be started. Imported where files are watched (`WorkerPlan.debug`), and never elsewhere.

A page has no values of variables: they may be secrets, and code with a name says what they are.
It is in HTML for who accepts that, and a traceback as Python prints it for everybody else. The page
shows the innermost call first, for that is what one came for.
"""

from __future__ import annotations

import linecache
import os
from html import escape
from traceback import TracebackException
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from granian_d.errors import DaemonError, Disconnected
from granian_d.http.exchange import Observer
from granian_d.worker.fault import PACKAGE, application_frames, explain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from traceback import FrameSummary

    from granian_d.errors import ProtocolViolation
    from granian_d.http.exchange import Exchange
    from granian_d.http.message import Fields, Peer, RequestHead
    from granian_d.http.session import Session
    from granian_d.interface.contract import Interface
    from granian_d.observe.log import Log

FRAMES: Final = 50  # of one exception, the innermost: more is a recursion, and says no more
AROUND: Final = 4  # lines of source before and behind the one that is meant
TEXT_CHARS: Final = 100_000

_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:64em;padding:0 1em}"
    ":root{color-scheme:light dark}h1{font-size:1.3em;overflow-wrap:anywhere}h2{font-size:1.1em}"
    "pre{font:13px/1.45 ui-monospace,monospace;overflow-x:auto;margin:.3em 0 1em}"
    "summary{cursor:pointer;overflow-wrap:anywhere}mark{display:block}.other{opacity:.6}"
)
_LIBRARY: Final = os.path.dirname(os.__file__) + os.sep


# --- exceptions of the application -------------------------------------------------------------


class FaultPages(Observer):
    """Tells another observer everything, and the peer what has gone wrong.

    Args:
        inner: that other one.
    """

    def __init__(self, inner: Observer) -> None:
        self._inner = inner
        self._last: tuple[Exchange, BaseException] | None = None

    def began(self, exchange: Exchange) -> None:
        """See Observer."""
        self._inner.began(exchange)

    def finished(self, exchange: Exchange) -> None:
        """See Observer."""
        if self._last is not None and self._last[0] is exchange:
            self._last = None  # with its frames, and what they refer to
        self._inner.finished(exchange)

    def crashed(self, exchange: Exchange, error: BaseException) -> None:
        """See Observer. Whoever tells of a fault lets the exchange fail next."""
        self._inner.crashed(exchange, error)
        self._last = exchange, error

    def explained(self, exchange: Exchange, text: str) -> None:
        """See Observer."""
        self._inner.explained(exchange, text)

    def excuse(self, exchange: Exchange) -> tuple[Fields, bytes] | None:
        """The page; see Observer."""
        last, self._last = self._last, None
        if last is None or last[0] is not exchange:
            return None
        return page(last[1], exchange.head)

    def refused(self, peer: Peer, violation: ProtocolViolation) -> None:
        """See Observer."""
        self._inner.refused(peer, violation)


# --- an application that cannot be started -----------------------------------------------------


class WhyNot(NamedTuple):
    """Stands in the place of an application that cannot be had."""

    error: Exception


def load_or_why_not(load: Callable[[], Any]) -> Any:
    """The application, or why there is none."""
    try:
        return load()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is shown
        return WhyNot(error)


class Forgiving:
    """An interface (interface.contract) to an application that may be unable to start.

    Then everybody is shown why, until files change.

    Args:
        make: makes the real one.
        application: what it would be made of, or a WhyNot.
        log: is told.
    """

    def __init__(self, make: Callable[[], Interface], application: Any, log: Log) -> None:
        self._log = log
        self._inner: Interface | None = None
        self._error: Exception | None = None
        try:
            if isinstance(application, WhyNot):
                raise application.error
            self._inner = make()
        except Exception as error:  # noqa: BLE001 - as above
            self._give_up(error)
        self.notes: list[str] = self._inner.notes if self._inner is not None else []

    def _give_up(self, error: Exception) -> None:
        self._error = error
        self._log.event("application_missing", reason=explain(error))

    @property
    def _working(self) -> Interface | None:
        return self._inner if self._error is None else None

    async def startup(self) -> None:
        """See Interface; raises nothing."""
        if (inner := self._working) is not None:
            try:
                await inner.startup()
            except Exception as error:  # noqa: BLE001 - as above
                self._give_up(error)

    def serve(self, exchange: Exchange) -> None:
        """See Interface."""
        if (inner := self._working) is not None:
            inner.serve(exchange)
        else:
            self._show(exchange)

    def converse(self, session: Session) -> None:
        """See Interface."""
        if (inner := self._working) is not None:
            inner.converse(session)
        else:
            self._show(session.exchange)

    def _show(self, exchange: Exchange) -> None:
        assert self._error is not None
        try:
            fields, body = page(self._error, exchange.head)
            exchange.start(500, fields)
            exchange.send(body, last=True)
        except Disconnected:
            exchange.abort()

    def stack(self, exchange: Exchange) -> str:
        """See Interface."""
        inner = self._working
        return "" if inner is None else inner.stack(exchange)

    def cancel(self, exchange: Exchange) -> bool:
        """See Interface."""
        inner = self._working
        return inner is not None and inner.cancel(exchange)

    def leave(self) -> None:
        """See Interface."""
        if (inner := self._working) is not None:
            inner.leave()

    async def settle(self) -> None:
        """See Interface."""
        if (inner := self._working) is not None:
            await inner.settle()

    async def shutdown(self) -> None:
        """See Interface; what has not started is not shut down."""
        if (inner := self._working) is not None:
            await inner.shutdown()

    def close(self) -> None:
        """See Interface."""
        if self._inner is not None:
            self._inner.close()


# --- the page ----------------------------------------------------------------------------------


def page(error: BaseException, head: RequestHead) -> tuple[Fields, bytes]:
    """What is answered to `head` because of `error`: fields and body, in the form it accepts."""
    told = error.__cause__ if isinstance(error, DaemonError) and error.__cause__ else error
    fault = TracebackException(type(told), told, application_frames(told), compact=True)
    for one in _chain(fault):
        _drop_ours(one)
    request = f"{head.method} {head.raw_path.decode('ascii', 'replace')}"
    wants_html = any(n == b"accept" and b"text/html" in v.lower() for n, v in head.fields)
    kind = b"text/html" if wants_html else b"text/plain"
    title = str(error) if told is not error else "".join(fault.format_exception_only()).rstrip()
    text = _html(fault, title, request) if wants_html else f"{request}\n{title}\n\n{_text(fault)}"
    fields = [
        (b"content-type", kind + b"; charset=utf-8"),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    return fields, text.encode("utf-8", "backslashreplace")


def _chain(fault: TracebackException) -> Iterator[TracebackException]:
    """The exception, what it was raised from or because of, and so on."""
    link: TracebackException | None = fault
    while link is not None:
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _drop_ours(fault: TracebackException) -> None:
    """Take away the frames that brought the call to the application.

    Those of compiled modules name their source as it was built: relative.
    """
    stack = fault.stack
    ours = (PACKAGE, "granian_d" + os.sep)
    while len(stack) > 1 and stack[0].filename.startswith(ours):
        del stack[0]


def _text(fault: TracebackException) -> str:
    text = "".join(fault.format())
    return text if len(text) <= TEXT_CHARS else "(cut here)\n" + text[-TEXT_CHARS:]


def _html(fault: TracebackException, title: str, request: str) -> str:
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>',
        f"<style>{_STYLE}</style><h1>{escape(title)}</h1><p>{escape(request)}",
    ]
    for number, one in enumerate(_chain(fault)):
        said = "".join(one.format_exception_only()).rstrip()
        if number or said != title:
            parts.append(f"<h2>{'Because of ' if number else ''}{escape(said)}</h2>")
        parts.extend(_frame_html(frame) for frame in reversed(one.stack[-FRAMES:]))
    parts.append(f"<h2>As text</h2><pre>{escape(_text(fault))}</pre></html>\n")
    return "\n".join(parts)


def _frame_html(frame: FrameSummary) -> str:
    """One call: the application's with its source, those of libraries to be opened."""
    other = "site-packages" in frame.filename or frame.filename.startswith((_LIBRARY, "<frozen"))
    place = f"{frame.filename}, line {frame.lineno}, in {frame.name}"
    opened = ' class="other"' if other else " open"
    lines = "".join(_source(frame.filename, frame.lineno or 0))
    return f"<details{opened}><summary>{escape(place)}</summary><pre>{lines}</pre></details>"


def _source(filename: str, wanted: int) -> Iterator[str]:
    """Lines around the one that is wanted, in HTML."""
    for number in range(max(1, wanted - AROUND), wanted + AROUND + 1):
        if line := linecache.getline(filename, number):
            text = escape(f"{number:5}  {line.rstrip()}")
            yield f"<mark>{text}</mark>" if number == wanted else f"{text}\n"
