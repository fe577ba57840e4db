"""The options of the pool: how many workers there are, and when one makes room for another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from granian_d.plan import PoolPlan, Recycling
from granian_d.settings.model import given

if TYPE_CHECKING:
    from granian_d.settings.load import Loaded
    from granian_d.settings.model import Settings

MIB: Final = 1 << 20


def plan_pool(loaded: Loaded) -> PoolPlan:
    """The plan.

    Raises:
        ConfigError: options contradict each other.
    """
    settings, inherited = loaded.settings, loaded.surroundings.inherited
    _judge_bounds(loaded)
    _judge_refork(loaded)
    return PoolPlan(
        workers=settings.workers,
        workers_min=given(settings.workers_min),
        workers_max=given(settings.workers_max),
        threads=given(settings.blocking_threads) if settings.interface == "wsgi" else 0,
        surge=given(settings.surge),
        canary=settings.canary,
        generations=settings.max_generations,
        startup_timeout_s=settings.workers_startup_timeout,
        drain_timeout_s=given(settings.workers_kill_timeout),
        stream_timeout_s=given(settings.workers_stream_timeout),
        drain_delay_s=settings.drain_delay,
        stall_timeout_s=given(settings.workers_stall_timeout),
        request_timeout_s=settings.request_kill_timeout,
        idle_exit_s=settings.idle_exit if inherited is None or inherited else 0.0,
        recycling=_plan_recycling(settings),
        respawn=settings.respawn_failed_workers,
        respawn_interval_s=settings.respawn_interval,
        preload=settings.preload,
        refork_after=settings.refork_after,
    )


def _plan_recycling(settings: Settings) -> Recycling:
    return Recycling(
        requests=settings.workers_max_requests,
        requests_jitter=given(settings.workers_max_requests_jitter),
        lifetime_s=settings.workers_lifetime or 0.0,
        lifetime_jitter_s=given(settings.workers_lifetime_jitter),
        rss_bytes=(settings.workers_max_rss or 0) * MIB,
        pss_bytes=(settings.workers_max_pss or 0) * MIB,
        sample_interval_s=settings.rss_sample_interval,
        samples=settings.rss_samples,
    )


def _judge_bounds(loaded: Loaded) -> None:
    settings = loaded.settings
    if given(settings.workers_min) > settings.workers:
        reason = f"more than the {settings.workers} that are started (workers)"
        raise loaded.refusal(("workers_min",), reason)
    if given(settings.workers_max) < settings.workers:
        reason = f"fewer than the {settings.workers} that are started (workers)"
        raise loaded.refusal(("workers_max",), reason)


def _judge_refork(loaded: Loaded) -> None:
    if loaded.settings.refork_after and not loaded.settings.preload:
        raise loaded.refusal(("refork_after",), "is of use with preload only: there is no mold")


def pool_remarks(loaded: Loaded) -> list[str]:
    """What its user should know of options that do nothing here."""
    settings, inherited = loaded.settings, loaded.surroundings.inherited
    if settings.idle_exit and inherited is not None and not inherited:
        reason = "no effect: nobody holds the sockets while the daemon is away"
        return [loaded.origin("idle_exit").line(("idle_exit",), reason)]
    return []
