"""Plans for tests: complete and valid, each field to be changed by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from granian_d.plan import (
    AccessLogPlan,
    DaemonPlan,
    Http2Limits,
    Http3Limits,
    Identity,
    Limits,
    ListenerPlan,
    LogPlan,
    MasterPlan,
    PoolPlan,
    QuicPlan,
    Recycling,
    WebSocketLimits,
    WorkerPlan,
)

HTTP2 = Http2Limits(
    streams=100,
    frame_bytes=16384,
    fields_bytes=65536,
    connection_window_bytes=1048576,
    stream_window_bytes=262144,
    adaptive_window=False,
    send_buffer_bytes=409600,
    ping_interval_s=0.0,
    ping_timeout_s=20.0,
)
HTTP3 = Http3Limits(
    streams=100,
    connection_window_bytes=1048576,
    stream_window_bytes=262144,
    send_buffer_bytes=409600,
)
QUIC = QuicPlan(
    idle_timeout_s=30.0,
    retry_above=100,
    early_data=False,
    alt_svc_port=0,
    alt_svc_max_age_s=86400.0,
)
WEBSOCKET = WebSocketLimits(
    message_bytes=16777216,
    frame_bytes=0,
    ping_interval_s=0.0,
    ping_timeout_s=20.0,
    compress=True,
)


def limits(**changes: Any) -> Limits:
    plain = Limits(
        head_bytes=65536,
        head_fields=100,
        body_bytes=0,
        head_timeout_s=30.0,
        idle_timeout_s=60.0,
        body_timeout_s=30.0,
        write_timeout_s=30.0,
        keep_alive=True,
        h2c=False,
        http2=HTTP2,
        http3=None,
        alt_svc="",
        websocket=None,
    )
    return replace(plain, **changes)


def worker_plan(target: str = "hello:app", **changes: Any) -> WorkerPlan:
    nobody = Identity(uid=None, gid=None, groups=(), user="", home="", umask=None)
    plain = WorkerPlan(
        target=target,
        interface="asgi",
        factory=False,
        working_dir="",
        venv="",
        loop="asyncio",
        engine="pure",
        http="1",
        url_path_prefix="",
        blocking_threads=1,
        blocking_threads_idle_timeout_s=30.0,
        backpressure=16,
        warmup="",
        health="",
        request_timeout_s=0.0,
        lifespan_at_signal=False,
        static=None,
        debug=False,
        environment=(),
        limits=limits(),
        forwarding=None,
        identity=nobody,
    )
    return replace(plain, **changes)


def _listener(key: str, **facts: Any) -> ListenerPlan:
    nothing = {
        "host": "",
        "port": 0,
        "path": "",
        "fd": -1,
        "name": "",
        "mode": None,
        "uid": None,
        "gid": None,
        "proxy_protocol": False,
        "tls": False,
        "http3": False,
    }
    return ListenerPlan(key=key, **{**nothing, "backlog": 16, **facts})


def tcp(host: str = "127.0.0.1", port: int = 0, **changes: Any) -> ListenerPlan:
    name = f"[{host}]" if ":" in host else host
    return _listener(f"tcp:{name}:{port}", kind="tcp", host=host, port=port, **changes)


def unix(path: object, **changes: Any) -> ListenerPlan:
    return _listener(f"unix:{path}", kind="unix", path=str(path), **changes)


def fd(number: int) -> ListenerPlan:
    return _listener(f"fd:{number}", kind="fd", fd=number)


def systemd(name: str) -> ListenerPlan:
    return _listener(f"systemd:{name}", kind="systemd", name=name)


def log_plan(**changes: Any) -> LogPlan:
    return replace(
        LogPlan(enabled=True, level="info", format="auto", file="", config=""), **changes
    )


def recycling(**limits: Any) -> Recycling:
    never = dict.fromkeys(Recycling.__dataclass_fields__, 0)
    return Recycling(**{**never, "sample_interval_s": 30.0, "samples": 1, **limits})


def pool_plan(**changes: Any) -> PoolPlan:
    workers = changes.get("workers", 2)
    plain = PoolPlan(
        workers=workers,
        workers_min=workers,
        workers_max=workers,
        threads=0,
        surge=workers,
        canary=False,
        generations=2,
        startup_timeout_s=60.0,
        drain_timeout_s=30.0,
        stream_timeout_s=30.0,
        drain_delay_s=0.0,
        stall_timeout_s=10.0,
        request_timeout_s=0.0,
        idle_exit_s=0.0,
        recycling=recycling(),
        respawn=True,
        respawn_interval_s=0.0,
        preload=False,
        refork_after=0,
    )
    return replace(plain, **changes)


def daemon_plan(*listeners: ListenerPlan, **changes: Any) -> DaemonPlan:
    plain = DaemonPlan(
        version="1.2.3",
        master=MasterPlan(process_name="hello", pid_file="", control_socket=""),
        listeners=listeners,
        pool=pool_plan(workers=2, surge=1),
        tls=None,
        quic=None,
        metrics=None,
        watch=None,
        worker=worker_plan(),
        log=log_plan(),
        access_log=AccessLogPlan(enabled=False, fmt="%(status)d", format="text", file=""),
    )
    return replace(plain, **changes)
