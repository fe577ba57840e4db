"""The access log as JSON: one object a line, for machines.

Imported only where that is asked for. The names of the fields are a public face: docs/logging.md.
"""

from __future__ import annotations

from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Any, Final

from granian_d.observe.access_log import OF_THE_PROCESS, AccessLog, atoms_of, getter_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from granian_d.http.exchange import Exchange
    from granian_d.observe.log import LogFile

# Each field with the atom that it is. No query: it may hold secrets.
FIELDS: Final[dict[str, str]] = {
    "time": "time_iso",
    "request_id": "request_id",
    "addr": "addr",
    "port": "port",
    "method": "method",
    "scheme": "scheme",
    "authority": "authority",
    "path": "path",
    "protocol": "protocol",
    "status": "status",
    "size": "size",
    "dt_ms": "dt_ms",
    "referer": "header{Referer}",
    "user_agent": "header{User-Agent}",
    "worker": "worker",
    "generation": "generation",
    "pid": "pid",
}

# How values are written that are no text, or text in which nothing has to be escaped.
_FORMS: Final = {
    "dt_ms": "%.3f",
    "dt_s": "%.6f",
    **dict.fromkeys(("port", "status", "size", "dt_us", *OF_THE_PROCESS), "%d"),
    **dict.fromkeys(("time_iso", "request_id", "addr", "scheme", "protocol"), '"%s"'),
}


class AccessJson(AccessLog):
    """An access log whose lines are objects: see `access_log.AccessLog`.

    Args:
        fmt: a format; what it names beside the fields above is written, too, under its own name.
        file: the lines go there.
        later: has something called at the end of the turn (the loop's call_soon).
        who: what the process is: worker, generation.
    """

    __slots__ = ("_form", "_values")

    def __init__(
        self,
        fmt: str,
        file: LogFile,
        later: Callable[[Callable[[], None]], object],
        who: Mapping[str, int],
    ) -> None:
        super().__init__("%(request_id)s", file, later, who)  # each has to have one
        said = {*FIELDS.values(), "time", "time_clf"}
        fields = FIELDS | {atom: atom for atom in atoms_of(fmt) if atom not in said}
        self._values: list[Callable[[Exchange], Any]] = []
        pairs = []
        for name, atom in fields.items():
            get, form = getter_of(atom, who, missing=None), _FORMS.get(atom)
            if atom in OF_THE_PROCESS:
                form = str(get(None))
            else:
                self._values.append(get if form else _quoting(get))
            pairs.append(f"{_key(name)}: {form or '%s'}")
        self._form = "{" + ", ".join(pairs) + "}\n"

    def line(self, exchange: Exchange) -> str:
        """The line of one exchange, with its newline."""
        return self._form % tuple([value(exchange) for value in self._values])


def _key(name: str) -> str:
    return encode_basestring_ascii(name).replace("%", "%%")


def _quoting(get: Callable[[Exchange], Any]) -> Callable[[Exchange], str]:
    def quote(exchange: Exchange) -> str:
        text = get(exchange)
        return "null" if text is None else encode_basestring_ascii(text)

    return quote
