"""A server within a program's own event loop: one application object, no process of its own.

    server = Server(app, interface="asgi", port=8000)
    task = asyncio.create_task(server.serve())
    ...
    server.stop()
    await task

It touches neither signals nor the loop's exception handler, and there may be several in one loop.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from granian_d.cli.serve import Runtime
from granian_d.control.channel import Drain
from granian_d.errors import ConfigError, DaemonError
from granian_d.http.turn import Turn
from granian_d.interface import alias
from granian_d.interface.shape import refuse_misfit
from granian_d.observe.scoreboard import Scoreboard
from granian_d.server.berths import Berths
from granian_d.server.hooks import Hooks, call, renew
from granian_d.server.request import Request, conclude
from granian_d.supervisor.listeners import Listeners, describe
from granian_d.worker.load import call_factory
from granian_d.worker.serving import Serving, make_interface, tell_notes

if TYPE_CHECKING:
    from collections.abc import Callable

    from granian_d.control.channel import Berth
    from granian_d.plan import DaemonPlan
    from granian_d.supervisor.certificates import Certificates

# What the planner is told instead of the application, which it could not be given.
PLACEHOLDER: Final = "embedded:app"
BACKLOG: Final = 128
AT_ONCE: Final = Drain(0.0, 0.0, restarting=False, stream_s=0.0)

# What takes processes of the daemon's own, and whether a plan wants it.
REFUSED: Final[dict[str, Callable[[DaemonPlan], object]]] = {
    "interface wsgi": lambda plan: plan.worker.interface == "wsgi",
    "reload": lambda plan: plan.watch,
    "metrics": lambda plan: plan.metrics,
    "more than one worker": lambda plan: plan.pool.workers_max > 1,
    "preload": lambda plan: plan.pool.preload,
    "a limit on a worker's requests, life or memory": lambda plan: any(
        getattr(plan.pool.recycling, name)
        for name in ("requests", "lifetime_s", "rss_bytes", "pss_bytes")
    ),
    "a loop of its own": lambda plan: plan.worker.loop != "auto",
    "a user, group or umask": lambda plan: any(
        one is not None
        for one in (plan.worker.identity.uid, plan.worker.identity.gid, plan.worker.identity.umask)
    ),
    "working_dir": lambda plan: plan.worker.working_dir,
    "venv": lambda plan: plan.worker.venv,
    "env_files": lambda plan: plan.worker.environment,
    "pid_file": lambda plan: plan.master.pid_file,
}


class Server(Hooks):
    """Serves an application object in the loop that runs `serve` (docs/api.md).

    Args:
        target: the application; with `factory`, what is called to get it.
        address: to listen on.
        port: to listen on; 0 is any free one.
        options: as of `granian_d.Granian`, but for what takes processes.

    Attributes:
        plan: what the arguments mean, judged and complete.

    Raises:
        ConfigError: an argument cannot be used.
        ListenError: a host name cannot be resolved.
    """

    def __init__(
        self, target: Any, address: str | None = None, port: int | None = None, **options: Any
    ) -> None:
        super().__init__()
        named = {"target": PLACEHOLDER, "address": address, "port": port}
        if not {"backlog", "config"} & set(options):
            named["backlog"] = BACKLOG
        self._request = Request(named | options)
        self.plan = _judged(self._request.plan())
        self.target = target
        self._wake = asyncio.Event()
        self._stopping = self._reloading = self._busy = False
        self._old: set[asyncio.Task[None]] = set()  # that drain
        self._certificates: Certificates | None = None

    async def serve(self, spawn_target: Callable[..., Any] | None = None) -> None:
        """Serve until `stop`; the last request is answered before this returns.

        Args:
            spawn_target: refused, as there is no worker process.

        Raises:
            ListenError: an address cannot be had.
            StartupError: the application refused to start.
            DaemonError: this object serves already.
        """
        if spawn_target is not None:
            raise ConfigError("spawn_target: there is no worker process")
        if self._busy:
            raise DaemonError("this server serves already; another one takes another object")
        self._busy = True
        scoreboard = Scoreboard()
        self._runtime = Runtime((), (), scoreboard)
        self._listeners = Listeners(())
        self._berths = Berths(self._listeners.sockets)
        try:
            self._listen(self.plan)
            self._runtime.log.event("starting", version=self.plan.version, pid=os.getpid())
            call(self.hooks_startup)
            current = await self._begin(self.plan)
            self._tell_addresses()
            await self._until_stopped(current)
            call(self.hooks_shutdown)
        finally:
            self._leave_listeners()
            self._runtime.log.event("stopped")
            self._runtime.close()
            self._busy = self._stopping = self._reloading = False
            self._wake.clear()

    def stop(self) -> None:
        """Have `serve` come to its end. To be called in the thread of the loop."""
        self._stopping = True
        self._wake.set()

    def reload(self) -> None:
        """Have the arguments read anew (the files that they name, too), and the application told
        to start again, beside the old start of it, which then drains.
        """
        self._reloading = True
        self._wake.set()

    # --- one life after the other ----------------------------------------------------------------

    async def _until_stopped(self, current: _Life) -> None:
        try:
            while not self._stopping:
                await self._wake.wait()
                self._wake.clear()
                if self._reloading and not self._stopping:
                    self._reloading = False
                    current = await self._replace(current)
            self._leave_listeners()  # whoever comes now is to know at once
            current.leave()
            await asyncio.gather(current.end(), *self._old)
        except asyncio.CancelledError:
            self._leave_listeners()
            current.drain(AT_ONCE)
            await current.end()
            raise

    async def _replace(self, current: _Life) -> _Life:
        """The next life, or the current one if there can be no other."""
        try:
            renew(self.hooks_reload)
            plan = _judged(await self._ask())
            self._listen(plan)
            successor = await self._begin(plan)
        except DaemonError as error:
            self._runtime.log.event("reload_failed", generation=current.number, reason=str(error))
            self._retain_listeners()
            return current
        self.plan = plan
        current.leave(restarting=True)
        self._retain_listeners()
        ending = asyncio.get_running_loop().create_task(current.end())
        self._old.add(ending)
        ending.add_done_callback(self._old.discard)
        self._runtime.log.event("reload_done", generation=successor.number, workers=1)
        return successor

    async def _ask(self) -> DaemonPlan:
        """The plan of today; the loop turns meanwhile."""
        loop = asyncio.get_running_loop()
        ended = loop.create_future()
        planner = self._request.start()
        loop.add_reader(planner.pidfd, ended.set_result, None)
        try:
            await ended
        finally:
            loop.remove_reader(planner.pidfd)
            with suppress(ProcessLookupError):
                os.kill(planner.pid, 9)
            how = conclude(planner)
        return self._request.judge(planner, how)

    def _listen(self, plan: DaemonPlan) -> None:
        """Open the log files and the sockets of a plan.

        Raises:
            DaemonError: one of them cannot be had.
        """
        self._runtime.open_logs(plan)
        self._listeners.open(plan.listeners)
        self._berths.open(plan)
        self._runtime.adopt_logs(plan)
        if plan.tls is not None:
            if self._certificates is None:
                from granian_d.supervisor.certificates import Certificates  # noqa: PLC0415 - OpenSSL

                self._certificates = Certificates()
            self._certificates.adopt(plan.tls)

    async def _begin(self, plan: DaemonPlan) -> _Life:
        """Start the application, and accept connections for it.

        Raises:
            ApplicationError: it cannot be had, or refused to start.
        """
        contexts = self._certificates.contexts(plan.tls) if self._certificates else None
        listeners = tuple(
            (entry, sock.dup())  # each life closes its own
            for entry in plan.listeners
            for sock in self._listeners.sockets([entry])
        )
        number = self._runtime.scoreboard.take()
        berth = self._berths.make(plan, number)
        try:
            life = _Life(plan, self.target, listeners, contexts, self._runtime, number, berth)
            await life.startup()
        except BaseException:
            for _, sock in listeners:
                sock.close()
            if berth is not None:
                berth.close()
            raise
        life.open()
        return life

    def _retain_listeners(self) -> None:
        keys = {entry.key for entry in self.plan.listeners}
        self._listeners.retain(keys)
        self._berths.retain(keys)

    def _leave_listeners(self) -> None:
        self._listeners.leave()
        self._berths.retain(())

    def _tell_addresses(self) -> None:
        for entry in self.plan.listeners:
            for sock in (*self._listeners.sockets([entry]), *self._berths.sockets(entry)):
                self._runtime.log.event("listening", address=describe(sock, tls=entry.tls))


class _Life(Serving):
    """The application from one start to its end.

    Attributes:
        number: its row of the scoreboard.
    """

    def __init__(
        self,
        plan: DaemonPlan,
        target: Any,
        listeners: Any,
        contexts: Any,
        runtime: Runtime,
        number: int,
        berth: Berth | None,
    ) -> None:
        loop = asyncio.get_running_loop()
        alias.install()  # the application may import granian.rsgi
        application = call_factory(target, "the factory failed") if plan.worker.factory else target
        refuse_misfit(plan.worker.interface, application)
        self._scoreboard = runtime.scoreboard
        self.number = number
        desk = runtime.desk(plan, self._scoreboard.row(self.number), {})
        turn = Turn()
        interface = make_interface(plan, application, loop, desk.row, turn)
        terms = (desk, interface, loop, turn, berth, number)
        super().__init__(plan, listeners, contexts, *terms)

    async def end(self) -> None:
        """Return when a drain that was ordered is done."""
        try:
            await self.until_empty()
        finally:
            self._interface.close()
            tell_notes(self._interface, self._desk.log)
            self._scoreboard.release(self.number)


def _judged(plan: DaemonPlan) -> DaemonPlan:
    """The plan.

    Raises:
        ConfigError: it wants what there cannot be in one process.
    """
    for what, wants in REFUSED.items():
        if wants(plan):
            raise ConfigError(f"{what}: is not to be had in a server within a program")
    return plan
