"""The watcher: a child of the master that tells it which files have changed, in development.

Forked, not a program of its own, so that a filter of the Python API may be any object. What it
takes to watch (threads, a Rust library) is in this process alone, and ends with it.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final

from granian_d.control.channel import Changed, Failed, Gone, Watching

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from granian_d.control.channel import Channel
    from granian_d.plan import DaemonPlan, WatchPlan

    # Of the kind of change (watchfiles.Change) and the path: whether it counts.
    Filter = Callable[[Any, str], bool]

TOLD: Final = 5  # files of a batch that are named
LONGEST_MS: Final = 1600  # for which changes without a pause are gathered: watchfiles' own default


def own_files(plan: DaemonPlan) -> frozenset[str]:
    """What the daemon itself writes: a reload because of its log would log, and so on."""
    paths = {plan.log.file, plan.access_log.file, plan.master.pid_file, plan.master.control_socket}
    paths.update(listener.path for listener in plan.listeners)
    for fd in (1, 2):
        try:
            paths.add(os.readlink(f"/proc/self/fd/{fd}"))
        except OSError:
            continue  # no /proc
    return frozenset(os.path.realpath(path) for path in paths if path.startswith("/"))


def run(
    plan: WatchPlan,
    channel: Channel,
    own: Collection[str],
    wanted: Filter | type[Filter] | None = None,
) -> int:
    """Tell the master of changes until it closes the channel; the exit status.

    Args:
        plan: what is watched, and what of it does not count.
        channel: to the master.
        own: paths of files that do not count either.
        wanted: says which changes count, beside what the plan ignores: a callable or a class of
            such; None for watchfiles.DefaultFilter.
    """
    try:
        import watchfiles  # noqa: PLC0415 - in this process only
    except ImportError as error:
        channel.send(Failed(f"watchfiles cannot be imported: {error}", os.EX_CONFIG))
        return os.EX_CONFIG
    if gone := [path for path in plan.paths if not os.path.exists(path)]:
        channel.send(Failed(f"there is no {', '.join(gone)}", os.EX_OSERR))
        return os.EX_OSERR
    tick_ms = round(plan.tick_s * 1000)
    batches = watchfiles.watch(
        *plan.paths,
        watch_filter=_make_filter(plan, own, wanted or watchfiles.DefaultFilter),
        debounce=max(LONGEST_MS, tick_ms),
        step=tick_ms,
        stop_event=_End(channel),
        raise_interrupt=False,
        ignore_permission_denied=True,  # below a path: the data of a database, say
    )
    try:
        for changes in batches:
            channel.send(Changed(tell(changes)))
    except (OSError, RuntimeError) as error:  # inotify(7) has reached a limit, say
        channel.send(Failed(f"cannot watch {', '.join(plan.paths)}: {error}", os.EX_OSERR))
        return os.EX_OSERR
    return os.EX_OK


class _End:
    """The end of the master's interest, as an event at which watchfiles stops.

    It is asked in each turn of a loop, for the first time when the files are watched.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._told = False

    def is_set(self) -> bool:
        """Whether nobody listens any more."""
        self._told = self._told or self._channel.send(Watching())
        try:
            self._channel.receive()
        except Gone:
            return True
        return False


def _make_filter(plan: WatchPlan, own: Collection[str], wanted: Any) -> Filter:
    """Whether a change counts."""
    inner: Filter = wanted() if isinstance(wanted, type) else wanted
    directories = frozenset(plan.ignore_dirs)
    patterns = [re.compile(pattern) for pattern in plan.ignore_patterns]

    def counts(change: Any, path: str) -> bool:
        parts = path.split(os.sep)
        return not (
            path in own
            or directories.intersection(parts)
            or any(pattern.search(parts[-1]) for pattern in patterns)
            # Whole names: what is beside var, variables.py for one, is not in it.
            or any(path == each or path.startswith(each + os.sep) for each in plan.ignore_paths)
        ) and inner(change, path)

    return counts


def tell(changes: Iterable[tuple[Any, str]]) -> str:
    """A batch in words: "modified app.py, added page.html and 3 more"."""
    named = sorted((path, change.raw_str()) for change, path in changes)
    here = os.getcwd() + os.sep
    words = [f"{how} {_name(path.removeprefix(here))}" for path, how in named[:TOLD]]
    more = len(named) - len(words)
    return ", ".join(words) + (f" and {more} more" if more else "")


def _name(path: str) -> str:
    return path if path.isprintable() else ascii(path)
