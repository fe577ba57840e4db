"""Settings -> DaemonPlan: what depends on several options, on the machine and on the moment.

Relative paths are completed: `uds`, `unix:` addresses and `pid_file` below $RUNTIME_DIRECTORY,
log files below $LOGS_DIRECTORY (each else below the current directory), and `working_dir` and the
files of `ssl` below the directory of the TOML file that names them.
"""

from __future__ import annotations

import ipaddress
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from granian_d import __version__
from granian_d.control.wire import SOCKET_NAME
from granian_d.engine.choose import resolve as resolve_engine
from granian_d.event_loops import loops
from granian_d.plan import (
    AccessLogPlan,
    DaemonPlan,
    ForwardingPlan,
    Http2Limits,
    Limits,
    LogPlan,
    MasterPlan,
    Network,
    WebSocketLimits,
    WorkerPlan,
    site_packages,
)
from granian_d.settings.beside import plan_metrics, plan_static, plan_watch, watch_remarks
from granian_d.settings.env_files import plan_environment
from granian_d.settings.identity import plan_identity
from granian_d.settings.listeners import plan_listeners, unbound
from granian_d.settings.model import given
from granian_d.settings.options import OPTIONS
from granian_d.settings.origin import DEFAULT
from granian_d.settings.pool import plan_pool, pool_remarks
from granian_d.settings.quic import plan_http3_limits, plan_quic
from granian_d.settings.tls import plan_tls, tls_remarks

if TYPE_CHECKING:
    from granian_d.plan import ListenerPlan
    from granian_d.plan.model import LoopName
    from granian_d.settings.load import Loaded
    from granian_d.settings.model import Settings
    from granian_d.settings.protocols import Http2


def resolve(loaded: Loaded) -> DaemonPlan:
    """The plan that these settings make, here and now.

    Raises:
        ConfigError: options contradict each other, or name what this machine does not have.
        ListenError: a host name cannot be resolved.
    """
    settings, places = loaded.settings, loaded.surroundings
    resolve_engine(settings.engine)  # raises when it is wanted and not installed
    listeners, tls = plan_listeners(loaded), plan_tls(loaded)
    return DaemonPlan(
        version=__version__,
        master=MasterPlan(
            process_name=given(settings.process_name),
            pid_file=_complete(settings.pid_file, places.runtime_directory),
            control_socket=_control_socket(loaded),
        ),
        listeners=listeners,
        pool=plan_pool(loaded),
        tls=tls,
        quic=plan_quic(loaded, listeners, tls),
        metrics=plan_metrics(loaded),
        watch=plan_watch(loaded, _working_dir(loaded)),
        worker=_plan_worker(loaded, listeners),
        log=LogPlan(
            enabled=settings.log.enabled,
            level="debug" if places.debug else settings.log.level,
            format=settings.log.format,
            file=_complete(settings.log.file, places.logs_directory),
            config=_log_config(loaded),
        ),
        access_log=AccessLogPlan(
            enabled=settings.access_log.enabled,
            fmt=settings.access_log.fmt,
            format=settings.access_log.format,
            file=_complete(settings.access_log.file, places.logs_directory),
        ),
    )


def remarks(loaded: Loaded) -> tuple[str, ...]:
    """What does not keep the daemon from starting, and its user should know."""
    found = (
        *(unbound(loaded), tls_remarks(loaded), pool_remarks(loaded)),
        *(watch_remarks(loaded), _inert(loaded), _unheard(loaded)),
    )
    return (*loaded.warnings, *(line for lines in found for line in lines))


def _inert(loaded: Loaded) -> list[str]:
    """Options that somebody has set, and that can have no effect."""
    return [
        origin.line(option.path, option.help[0].lower() + option.help[1:].rstrip("."))
        for option in OPTIONS.values()
        if option.inert and (origin := loaded.origin(*option.path)) != DEFAULT
    ]


def _unheard(loaded: Loaded) -> list[str]:
    """Options of which log.config takes the place."""
    if loaded.settings.log.config is None:
        return []
    paths = (("log", "format"), ("access_log", "format"))
    origins = {path: loaded.origin(*path) for path in paths}
    return [
        origin.line(path, "no effect beside log.config")
        for path, origin in origins.items()
        if origin != DEFAULT
    ]


def _plan_worker(loaded: Loaded, listeners: tuple[ListenerPlan, ...]) -> WorkerPlan:
    settings = loaded.settings
    return WorkerPlan(
        target=settings.app,
        interface=settings.interface,
        factory=settings.factory,
        working_dir=_working_dir(loaded),
        venv=_venv(loaded),
        loop=_loop(loaded),
        engine=settings.engine,
        http=settings.http,
        url_path_prefix=settings.url_path_prefix,
        blocking_threads=_blocking_threads(loaded),
        blocking_threads_idle_timeout_s=settings.blocking_threads_idle_timeout,
        backpressure=given(settings.backpressure),
        warmup="" if _is_forgiving(settings) else settings.warmup,
        health=settings.health,
        request_timeout_s=settings.request_timeout,
        lifespan_at_signal=settings.lifespan_shutdown == "signal",
        static=plan_static(loaded),
        debug=settings.reload.enabled,
        environment=plan_environment(loaded),
        limits=_plan_limits(loaded, listeners),
        forwarding=_plan_forwarding(loaded.settings),
        identity=plan_identity(loaded),
    )


def _is_forgiving(settings: Settings) -> bool:
    """What answers instead of an application that cannot be started could not be warmed up."""
    return settings.reload.enabled and settings.reload.ignore_worker_failure


def _plan_limits(loaded: Loaded, listeners: tuple[ListenerPlan, ...]) -> Limits:
    settings = loaded.settings
    return Limits(
        head_bytes=settings.http1.buffer_size,
        head_fields=settings.http1.max_headers,
        body_bytes=settings.request.max_body_size,
        head_timeout_s=settings.http1.header_read_timeout / 1000,
        idle_timeout_s=settings.http1.keep_alive_timeout,
        body_timeout_s=settings.request.body_timeout,
        write_timeout_s=settings.response.write_timeout,
        keep_alive=settings.http1.keep_alive,
        h2c=settings.http == "auto",
        http2=_plan_http2(settings.http2),
        http3=plan_http3_limits(loaded, listeners),
        alt_svc="",
        websocket=_plan_websocket(loaded),
    )


def _plan_http2(table: Http2) -> Http2Limits:
    interval_ms = table.keep_alive_interval
    return Http2Limits(
        streams=table.max_concurrent_streams,
        frame_bytes=table.max_frame_size,
        fields_bytes=table.max_headers_size,
        connection_window_bytes=table.initial_connection_window_size,
        stream_window_bytes=table.initial_stream_window_size,
        adaptive_window=table.adaptive_window,
        send_buffer_bytes=table.max_send_buffer_size,
        ping_interval_s=0.0 if interval_ms is None else interval_ms / 1000,
        ping_timeout_s=table.keep_alive_timeout,
    )


def _plan_websocket(loaded: Loaded) -> WebSocketLimits | None:
    """None where no application is to be offered one."""
    settings = loaded.settings
    if not settings.websockets or settings.interface == "wsgi":
        return None
    table = settings.websocket
    return WebSocketLimits(
        message_bytes=table.max_message_size,
        frame_bytes=table.max_frame_size,
        ping_interval_s=table.ping_interval,
        ping_timeout_s=table.ping_timeout,
        compress=table.compression,
    )


def _plan_forwarding(settings: Settings) -> ForwardingPlan | None:
    """None where nobody is believed: then no request is looked at."""
    believed = settings.forwarded_allow_ips
    if not believed:
        return None
    return ForwardingPlan(
        fields=settings.forwarded_fields,
        everyone="*" in believed,
        unix="unix" in believed,
        networks=tuple(_plan_network(entry) for entry in believed if entry not in {"unix", "*"}),
    )


def _plan_network(entry: str) -> Network:
    network = ipaddress.ip_network(entry)
    return Network(
        bits=32 if network.version == 4 else 128,
        first=int(network.network_address),
        last=int(network.broadcast_address),
    )


def _complete(path: str | None, directory: str) -> str:
    """An absolute path; empty for none."""
    if path is None:
        return ""
    return os.path.abspath(os.path.join(directory, path))


def _control_socket(loaded: Loaded) -> str:
    """Where granianctl is listened to: as given, else in $RUNTIME_DIRECTORY, else nowhere."""
    given, directory = loaded.settings.control_socket, loaded.surroundings.runtime_directory
    if given is None and not directory:
        return ""
    return _complete(given or SOCKET_NAME, directory)


def _working_dir(loaded: Loaded) -> str:
    settings = loaded.settings
    if settings.working_dir is None:
        return ""
    directory = loaded.beside(("working_dir",), settings.working_dir)
    if not loaded.surroundings.rehearsal and not Path(directory).is_dir():
        raise loaded.refusal(("working_dir",), f"{directory} is not a directory")
    return directory


def _log_config(loaded: Loaded) -> str:
    """What is in the file of log.config, as one line of JSON."""
    if (dictconfig := loaded.surroundings.dictconfig) is not None:
        return json.dumps(dictconfig, separators=(",", ":"))
    if loaded.settings.log.config is None:
        return ""
    path = ("log", "config")
    file = loaded.beside(path, loaded.settings.log.config)
    try:
        config = json.loads(Path(file).read_bytes())
    except OSError as error:
        raise loaded.refusal(path, f"{file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise loaded.refusal(path, f"{file} is not JSON: {error}") from error
    if not isinstance(config, dict):
        raise loaded.refusal(path, f"{file} is not a JSON object")
    text = json.dumps(config, separators=(",", ":"))
    from granian_d.observe import log_config  # noqa: PLC0415 - logging.config, for these alone

    try:
        log_config.check(text)
    except ValueError as error:
        raise loaded.refusal(path, f"{file} is no configuration of logging: {error}") from error
    return text


def _loop(loaded: Loaded) -> LoopName:
    if reason := loops.lacks(loaded.settings.loop):
        raise loaded.refusal(("loop",), reason)
    return loaded.settings.loop


def _venv(loaded: Loaded) -> str:
    if loaded.settings.venv is None:
        return ""
    venv = loaded.beside(("venv",), loaded.settings.venv)
    if loaded.surroundings.rehearsal:
        return venv
    if not Path(venv, "pyvenv.cfg").is_file():
        raise loaded.refusal(("venv",), f"{venv} is not a virtual environment")
    if not Path(needed := site_packages(venv)).is_dir():
        reason = f"{venv} is of another Python than granian-d: there is no {needed}"
        raise loaded.refusal(("venv",), reason)
    return venv


def _blocking_threads(loaded: Loaded) -> int:
    threads = given(loaded.settings.blocking_threads)
    interface = loaded.settings.interface
    if threads > 1 and interface != "wsgi":
        reason = f"{threads} threads are of use to wsgi only; {interface} runs in one"
        raise loaded.refusal(("blocking_threads",), reason)
    return threads
