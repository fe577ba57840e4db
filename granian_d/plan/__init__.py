"""What the processes will do: resolved, frozen, complete, plain data. See README.md."""

from granian_d.plan.model import (
    MOST_WORKERS,
    AccessLogPlan,
    DaemonPlan,
    Http2Limits,
    Identity,
    Limits,
    ListenerPlan,
    LogPlan,
    MasterPlan,
    PoolPlan,
    WebSocketLimits,
    WorkerPlan,
)
from granian_d.plan.wire import decode, encode

__all__ = [
    "MOST_WORKERS",
    "AccessLogPlan",
    "DaemonPlan",
    "Http2Limits",
    "Identity",
    "Limits",
    "ListenerPlan",
    "LogPlan",
    "MasterPlan",
    "PoolPlan",
    "WebSocketLimits",
    "WorkerPlan",
    "decode",
    "encode",
]
