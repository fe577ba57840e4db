"""The samples of metrics, made of the scoreboard and of what /proc tells."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from granian_d import __version__
from granian_d.observe import scoreboard as columns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from granian_d.observe.footprint import Footprint
    from granian_d.observe.scoreboard import Copy, Row

NS: Final = 1e9  # in a second
US: Final = 1000  # nanoseconds in a microsecond


class Scene(NamedTuple):
    """All that a scrape tells.

    Attributes:
        board: the scoreboard.
        memory: of processes, by pid; zeros are not known.
        now_ns: CLOCK_MONOTONIC.
        master: its pid.
        exporter: the pid of who tells.
    """

    board: Copy
    memory: Mapping[int, Footprint]
    now_ns: int
    master: int
    exporter: int


Sample = tuple[str, float]  # what stands behind the name: a suffix, labels; and the value


def counted(column: int, unit_ns: float = 1) -> Callable[[Scene], Iterator[Sample]]:
    """Of each worker a column: of those that are in its slot, and were."""

    def samples(scene: Scene) -> Iterator[Sample]:
        for slot in scene.board.workers:
            value = scene.board.of_slot(slot, column)
            yield _worker(slot), value if unit_ns == 1 else value / unit_ns

    return samples


def each(tell: Callable[[Scene, Row], float | None]) -> Callable[[Scene], Iterator[Sample]]:
    """Of each worker the most of what `tell` knows of those that are in its slot; None: nothing."""

    def samples(scene: Scene) -> Iterator[Sample]:
        for slot, rows in scene.board.workers.items():
            told = [value for row in rows if (value := tell(scene, row)) is not None]
            if told:
                yield _worker(slot), max(told)

    return samples


def memory(part: Literal["rss", "pss"]) -> Callable[[Scene], Iterator[Sample]]:
    """Of each worker its memory; while one relieves another, that of both."""

    def samples(scene: Scene) -> Iterator[Sample]:
        for slot, rows in scene.board.workers.items():
            known = (scene.memory.get(row[columns.PID]) for row in rows)
            if size := sum(getattr(one, part) for one in known if one is not None):
                yield _worker(slot), size

    return samples


def fact(*words: int) -> Callable[[Scene], Iterator[Sample]]:
    """What the master shows or has counted, in sum."""
    return lambda scene: iter([("", sum(scene.board.facts[word] for word in words))])


def facts(label: str, words: Mapping[str, int]) -> Callable[[Scene], Iterator[Sample]]:
    """What the master has counted, by a label."""

    def samples(scene: Scene) -> Iterator[Sample]:
        for value, word in words.items():
            yield f'{{{label}="{value}"}}', scene.board.facts[word]

    return samples


def _worker(slot: int) -> str:
    return f'{{worker="{slot}"}}'


def build(_: Scene) -> Iterator[Sample]:
    """Of which release it is."""
    python = ".".join(map(str, sys.version_info[:3]))
    yield f'{{version="{__version__}",python="{python}"}}', 1


def start(scene: Scene) -> Iterator[Sample]:
    """When the daemon was started."""
    yield "", scene.board.facts[columns.BEGUN_NS] / NS


def health(scene: Scene) -> Iterator[Sample]:
    """Its state."""
    for index, word in enumerate(columns.HEALTHS):
        yield f'{{state="{word}"}}', int(scene.board.health == index)


def own_memory(scene: Scene) -> Iterator[Sample]:
    """Memory of those that are no workers."""
    for name, pid in (("master", scene.master), ("metrics", scene.exporter)):
        known = scene.memory.get(pid)
        if known is not None and known.rss:
            yield f'{{process="{name}"}}', known.rss


def answers(scene: Scene) -> Iterator[Sample]:
    """Answers of all workers, by status."""
    for first, code in enumerate(("cut", "1xx", "2xx", "3xx", "4xx", "5xx", "other")):
        yield f'{{code="{code}"}}', scene.board.total(columns.ANSWERS_0XX + first)


def in_flight(scene: Scene) -> Iterator[Sample]:
    """Requests under way."""
    for slot in scene.board.workers:
        talking = scene.board.of_slot(slot, columns.CONVERSATIONS)
        yield _worker(slot), max(0, scene.board.of_slot(slot, columns.ACTIVE) - talking)


def latencies(scene: Scene) -> Iterator[Sample]:
    """Latencies of all workers, in cumulative buckets."""
    count = 0
    for bucket in range(columns.BUCKETS):
        count += scene.board.total(len(columns.COLUMNS) + bucket)
        most_s = (1 << bucket << columns.BUCKET_SHIFT) / NS
        bound = str(most_s) if bucket < columns.BUCKETS - 1 else "+Inf"
        yield f'_bucket{{le="{bound}"}}', count
    yield "_sum", scene.board.total(columns.LATENCY_NS) / NS
    yield "_count", count


def age(scene: Scene, row: Row) -> float:
    """How long ago a worker was forked, in seconds."""
    return (scene.now_ns - row[columns.STARTED_NS]) / NS


def silence(scene: Scene, row: Row) -> float | None:
    """How long ago its loop turned; None before it did."""
    beat_ns = row[columns.BEAT_NS]
    return max(0, scene.now_ns - beat_ns) / NS if beat_ns else None


def oldest(scene: Scene, row: Row) -> float:
    """How long ago the oldest request under way began, 0 for none."""
    began_ns = row[columns.OLDEST_NS]
    return max(0, scene.now_ns - began_ns) / NS if began_ns else 0.0
