"""A run as a chart: hello under one worker, a bar a server, three figures side by side.

Plain SVG. Its background is the page's, and its greys and its blue are chosen to be read on a
white one and on a black one.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from benchmarks.samples import FIGURES
from benchmarks.servers import SERVERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.samples import Run
    from benchmarks.servers import Server

CASE: Final = "hello"
TEXT: Final = "#717983"
OURS: Final = "#2f81f7"
THEIRS: Final = "#98a1ab"


@dataclass(frozen=True)
class Panel:
    """One figure. With `cut`, bars far beyond the others are cut, so that the others are seen."""

    figure: str
    title: str
    hint: str
    cut: bool = False


PANELS: Final = (
    Panel("rate", "requests/s", "more is better"),
    Panel("cpu_us", "CPU per request, \u00b5s", "less is better", cut=True),
    Panel("pss_kib", "memory (PSS), MiB", "less is better"),
)
GROUPS: Final = {"asgi": "ASGI", "rsgi": "RSGI", "wsgi": "WSGI", "none": "no application"}

LABELS_PX: Final = 190
PANEL_PX: Final = 220
BAR_PX: Final = 145  # of the longest bar; the rest of a panel is for its number
HEAD_PX: Final = 84
TITLE_PX: Final = 22  # of a group
ROW_PX: Final = 22
FAR: Final = 3  # times the median of a panel
WIDTH_PX: Final = LABELS_PX + PANEL_PX * len(PANELS)
FONT: Final = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"


def chart(run: Run) -> str:
    groups = {title: shown(run, interface) for interface, title in GROUPS.items()}
    filled = {title: servers for title, servers in groups.items() if servers}
    height = HEAD_PX + sum(TITLE_PX + ROW_PX * len(servers) for servers in filled.values()) + 8
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH_PX} {height}" '
        f'width="{WIDTH_PX}" height="{height}" role="img" font-family="{FONT}" font-size="13" '
        f'fill="{TEXT}">'
    )
    return "\n".join((svg, *heading(run), *body(run, filled), "</svg>")) + "\n"


def shown(run: Run, interface: str) -> list[Server]:
    """The servers that speak it and were measured, the fastest first."""
    rates = {
        server.key: rate
        for server in SERVERS
        if server.interface == interface
        and (rate := run.median(CASE, server.key, "rate")) is not None
    }
    return sorted(
        (server for server in SERVERS if server.key in rates),
        key=lambda server: rates[server.key],
        reverse=True,
    )


def heading(run: Run) -> Iterator[str]:
    where = run.surroundings
    title = "Hello, world: one worker on one CPU, 64 kept connections"
    yield text(0, 18, title, size=16, weight=600)
    yield text(0, 38, f"{where['cpu']}, {where['kernel']}, {where['date']}", size=12)
    for number, panel in enumerate(PANELS):
        x = LABELS_PX + number * PANEL_PX
        yield text(x, 66, panel.title, weight=600)
        yield text(x, 82, panel.hint, size=11)


def body(run: Run, groups: dict[str, list[Server]]) -> Iterator[str]:
    servers = [server for group in groups.values() for server in group]
    scales = {panel: scale(run, panel, servers) for panel in PANELS} if servers else {}
    y = HEAD_PX
    for title, group in groups.items():
        y += TITLE_PX
        yield text(0, y - 6, title, size=11, weight=600)
        for server in group:
            yield text(12, y + 15, name(server), weight=600 if is_ours(server) else 400)
            for number, (panel, longest) in enumerate(scales.items()):
                value = run.median(CASE, server.key, panel.figure) or 0
                x = LABELS_PX + number * PANEL_PX
                yield bar(x, y, value / longest, is_ours(server))
                end = x + min(value / longest, 1) * BAR_PX
                number_text = FIGURES[panel.figure].text(value)
                yield text(end + 6, y + 15, number_text, 12, 600 if is_ours(server) else 400)
            y += ROW_PX


def scale(run: Run, panel: Panel, servers: list[Server]) -> float:
    """The value of the longest bar."""
    values = [run.median(CASE, server.key, panel.figure) or 0 for server in servers]
    return min(max(values), FAR * statistics.median(values)) if panel.cut else max(values)


def is_ours(server: Server) -> bool:
    return server.key.startswith("ours.")


def name(server: Server) -> str:
    """Its label; the interface stands above the group."""
    return server.label.replace(f" {server.interface}", "")


def bar(x: float, y: float, share: float, ours: bool) -> str:
    """A bar of that share of the longest; one that would be longer is shown with a gap in it."""
    if share <= 1:
        return piece(x, y, max(share * BAR_PX, 1), ours)
    after = 10
    return piece(x, y, BAR_PX - after - 3, ours) + piece(x + BAR_PX - after, y, after, ours)


def piece(x: float, y: float, length: float, ours: bool) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y + 3}" width="{length:.1f}" height="{ROW_PX - 6}" rx="2" '
        f'fill="{OURS if ours else THEIRS}"/>'
    )


def text(x: float, y: float, words: str, size: int = 13, weight: int = 400) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}">'
        f"{escape(words)}</text>"
    )
