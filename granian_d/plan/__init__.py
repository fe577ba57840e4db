"""What the processes will do: resolved, frozen, complete, plain data. See README.md."""

from granian_d.plan.model import (
    MOST_WORKERS,
    AccessLogPlan,
    CertificatePlan,
    DaemonPlan,
    ForwardingPlan,
    Http2Limits,
    Identity,
    Limits,
    ListenerPlan,
    LogPlan,
    MasterPlan,
    Network,
    PoolPlan,
    TlsPlan,
    WebSocketLimits,
    WorkerPlan,
)
from granian_d.plan.wire import decode, encode

__all__ = [
    "MOST_WORKERS",
    "AccessLogPlan",
    "CertificatePlan",
    "DaemonPlan",
    "ForwardingPlan",
    "Http2Limits",
    "Identity",
    "Limits",
    "ListenerPlan",
    "LogPlan",
    "MasterPlan",
    "Network",
    "PoolPlan",
    "TlsPlan",
    "WebSocketLimits",
    "WorkerPlan",
    "decode",
    "encode",
]
