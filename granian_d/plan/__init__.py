"""What the processes will do: resolved, frozen, complete, plain data. See README.md."""

from granian_d.plan.model import (
    MOST_WORKERS,
    AccessLogPlan,
    DaemonPlan,
    Identity,
    Limits,
    ListenerPlan,
    LogPlan,
    MasterPlan,
    PoolPlan,
    WorkerPlan,
)
from granian_d.plan.wire import decode, encode

__all__ = [
    "MOST_WORKERS",
    "AccessLogPlan",
    "DaemonPlan",
    "Identity",
    "Limits",
    "ListenerPlan",
    "LogPlan",
    "MasterPlan",
    "PoolPlan",
    "WorkerPlan",
    "decode",
    "encode",
]
