"""The tables `static_path`, `metrics` and `reload`: from their options to plans."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from granian_d.plan import MetricsPlan, MountPlan, StaticPlan, WatchPlan

if TYPE_CHECKING:
    from granian_d.settings.load import Loaded
    from granian_d.settings.toml_lines import KeyPath


def plan_static(loaded: Loaded) -> StaticPlan | None:
    """The plan; None where there is no mount.

    Raises:
        ConfigError: a mount is no directory, or there is not one route for each.
    """
    table = loaded.settings.static_path
    if not table.mount:
        return None
    if len(table.route) != len(table.mount):
        reason = f"{len(table.mount)} mounts need as many routes, and there are {len(table.route)}"
        raise loaded.refusal(("static_path", "mount"), reason)
    if len(set(table.route)) != len(table.route):
        raise loaded.refusal(("static_path", "route"), "one of them is there twice")
    return StaticPlan(
        mounts=tuple(
            MountPlan(route=route.rstrip("/"), directory=_mount(loaded, at, written))
            for at, (route, written) in enumerate(zip(table.route, table.mount, strict=True))
        ),
        index=table.dir_to_file or "",
        expires_s=table.expires,
        precompressed=table.precompressed,
        symlinks=table.symlinks,
    )


def _mount(loaded: Loaded, at: int, written: str) -> str:
    path: KeyPath = ("static_path", "mount", at)
    directory = loaded.beside(path, written)
    if not loaded.surroundings.rehearsal and not Path(directory).is_dir():
        raise loaded.refusal(path, f"{directory} is not a directory")
    return directory


def plan_metrics(loaded: Loaded) -> MetricsPlan | None:
    """The plan; None where nobody is told."""
    table = loaded.settings.metrics
    if not table.enabled:
        return None
    return MetricsPlan(address=table.address, port=table.port, interval_s=table.scrape_interval)


def plan_watch(loaded: Loaded, working_dir: str) -> WatchPlan | None:
    """The plan; None where nothing is watched.

    Args:
        loaded: the settings.
        working_dir: what the application is imported from; "" for the current directory.

    Raises:
        ConfigError: a path is not there, or what watches is not installed.
    """
    table = loaded.settings.reload
    if not table.enabled:
        return None
    if not loaded.surroundings.rehearsal and find_spec("watchfiles") is None:
        reason = "needs watchfiles, which is not installed: pip install granian-d[reload]"
        raise loaded.refusal(("reload", "enabled"), reason)
    return WatchPlan(
        paths=_watched(loaded) or (working_dir or os.getcwd(),),
        ignore_dirs=table.ignore_dirs,
        ignore_patterns=table.ignore_patterns,
        ignore_paths=tuple(
            loaded.beside(("reload", "ignore_paths", at), written)
            for at, written in enumerate(table.ignore_paths)
        ),
        tick_s=table.tick / 1000,
        ignore_worker_failure=table.ignore_worker_failure,
    )


def watch_remarks(loaded: Loaded) -> list[str]:
    """Who shows tracebacks should know who may look at them."""
    if not loaded.settings.reload.enabled or not loaded.surroundings.managed:
        return []
    reason = "for development only: this is a service, and whoever can reach it sees tracebacks"
    return [loaded.line(("reload", "enabled"), reason)]


def _watched(loaded: Loaded) -> tuple[str, ...]:
    watched = []
    for at, written in enumerate(loaded.settings.reload.paths):
        path: KeyPath = ("reload", "paths", at)
        watched.append(loaded.beside(path, written))
        if not Path(watched[-1]).exists():
            raise loaded.refusal(path, f"there is no {watched[-1]}")
    return tuple(watched)
