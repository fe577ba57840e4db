"""A worker's life: `run` reads top to bottom as its steps. What each step does is in its room."""

from __future__ import annotations

import atexit
import faulthandler
import gc
import importlib
import os
import signal
import sys
import threading
import traceback
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from granian_d.control.channel import (
    DUMP_SIGNAL,
    Closed,
    Dump,
    Failed,
    Gone,
    Leaving,
    Molded,
    Pin,
    Ready,
    Renew,
    Reopen,
    Trim,
)
from granian_d.control.channel import Drain as DrainOrder
from granian_d.errors import DaemonError
from granian_d.http.turn import Turn
from granian_d.interface import alias, registry
from granian_d.interface.shape import refuse_misfit
from granian_d.transport.choose import preload
from granian_d.worker import doors, heartbeat, identity, libc
from granian_d.worker import loop as loops
from granian_d.worker.fault import explain
from granian_d.worker.load import load_application
from granian_d.worker.serving import (
    FORWARDED,
    FRONTS,
    Serving,
    make_interface,
    tell_notes,
)

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator

    from granian_d.control.channel import Post
    from granian_d.interface.contract import Interface
    from granian_d.plan import DaemonPlan, WorkerPlan
    from granian_d.worker.desk import Desk

    _Part = Callable[[], "_Part | None"]

MOLD = "granian_d.worker.mold"
DEVELOPMENT = "granian_d.worker.development"
STACKS = "granian_d.worker.stacks"
PINNING = "granian_d.control.pinning"
MASTER_IS_DEAD = 1
_NOTHING: Final = object()  # instead of an application, which may be anything


def prepare(plan: DaemonPlan) -> None:
    """Import what workers of this plan will use, in the master, so that they share its memory."""
    worker = plan.worker
    loops.preload(worker.loop)
    registry.load(worker.interface)
    preload(worker)
    doors.preload(plan)
    if worker.forwarding is not None:
        importlib.import_module(FORWARDED)
    if worker.health or worker.static:
        importlib.import_module(FRONTS).preload(worker)
    if plan.pool.preload:
        importlib.import_module(MOLD)


def run(
    plan: DaemonPlan,
    post: Post,
    furnish: Callable[[Post], Desk],
    find: Callable[[WorkerPlan], Any] = load_application,
) -> int:
    """Be a worker or a mold from the fork to the end; the exit status.

    Args:
        plan: what to obey.
        post: what to be: in slot 0 a mold, elsewhere a worker.
        furnish: names the process for a post, and gives it what it writes on.
        find: gives the application, or raises LoadError.
    """
    faulthandler.enable()  # SIGABRT from the master dumps every thread's stack, then kills
    faulthandler.register(DUMP_SIGNAL)  # and this one only dumps
    identity.yield_to_master()
    identity.become(plan.worker.identity)
    for name, value in plan.worker.environment:
        os.environ.setdefault(name, value)
    if plan.worker.debug:
        # It is believed for a second, if the size is the same: too long for who edits quickly.
        sys.dont_write_bytecode = True
    if not identity.die_with(post.master_pid):
        return MASTER_IS_DEAD
    life = _Life(plan, post, furnish, find)
    os.register_at_fork(after_in_child=life.let_go)
    part: _Part | None = life.as_worker if post.slot else life.as_mold
    try:
        while part is not None:
            part = part()
    finally:
        if life.post.slot:
            _say_goodbye()  # a mold has not served: what is done at the end is left to workers
    return life.exit_code


class _Life:
    """What this process is: a worker, which may become a mold, from which workers come.

    Each part ends with the next one: of a mold that is a worker in the new process.
    """

    def __init__(
        self,
        plan: DaemonPlan,
        post: Post,
        furnish: Callable[[Post], Desk],
        find: Callable[[WorkerPlan], Any],
    ) -> None:
        self.plan = plan
        self.post = post
        self.exit_code = 0
        self._furnish = furnish
        self._find = find
        self._application: Any = _NOTHING
        self._forking = False  # not the application, but the mold
        # Most daemons have no molds; what they take is not to be held by all of them.
        self._mold = importlib.import_module(MOLD) if plan.pool.preload else None
        # The same of development.
        self._forgive = None
        if plan.watch is not None and plan.watch.ignore_worker_failure:
            self._forgive = importlib.import_module(DEVELOPMENT)
        self._known = self._sockets()

    def as_worker(self) -> _Part | None:
        """Serve."""
        desk = self._furnish(self.post)
        loop = loops.make(self.plan.worker.loop)
        heir = None
        try:
            heir = self._serve(desk, loop)
        except Exception as error:  # noqa: BLE001 - the border of the process
            self._fail(error)
        finally:
            loops.close(loop)
        if heir is None:
            return None
        assert self._mold is not None, "without preload nobody is an heir"
        if names := self._mold.lasting_threads():
            reason = "it has threads, which a fork does not copy: " + ", ".join(names)
            desk.log.event("heir_unfit", reason=reason, worker=self.post.slot)
            return None
        self.post = heir
        return self.as_mold

    def as_mold(self) -> _Part | None:
        """Hold the application; the part of each worker in that, None in the mold's end."""
        assert self._mold is not None, "without preload there are no molds"
        desk = self._furnish(self.post)
        if self.post.berth is not None:
            self.post.berth.close()  # a mold reads nothing
        try:
            if self._application is _NOTHING:
                self._application = self._load()
            self._mold.settle(desk, self._known)
            self.post.channel.send(Molded())
            born = self._mold.Mold(self.plan, self.post, desk, self._set_forking).wait()
        except Exception as error:  # noqa: BLE001 - as above
            self._fail(error)
            return None
        if born is None:
            return None
        self.post = born
        self._known = self._sockets()
        return self.as_worker

    def _load(self) -> Any:
        """The application, or where that is forgiven why there is none."""
        found = partial(load, self.plan.worker, self._find)
        return found() if self._forgive is None else self._forgive.load_or_why_not(found)

    def _sockets(self) -> frozenset[str]:
        """Those that the application has not opened, if that will be asked."""
        return frozenset(self._mold.sockets() if self._mold else ())

    def _serve(self, desk: Desk, loop: asyncio.AbstractEventLoop) -> Post | None:
        """A worker's life; its post as a mold, if it is to become one."""
        if self._application is _NOTHING:
            self._application = self._load()
        turn = Turn()
        make = partial(make_interface, self.plan, self._application, loop, desk.row, turn)
        if self._forgive is None:
            interface = make()
        else:
            interface = self._forgive.Forgiving(make, self._application, desk.log)
        worker = _Worker(self.plan, self.post, desk, interface, loop, turn)
        try:
            loop.run_until_complete(worker.live())
        finally:
            interface.close()
            tell_notes(interface, desk.log)
        if not worker.heir:
            return None
        loop.run_until_complete(loop.shutdown_default_executor())  # its threads end
        return self.post._replace(slot=0, contexts=worker.contexts)

    def _fail(self, error: Exception) -> None:
        """Tell the master what has gone wrong, and end with a status that says it too."""
        kind = error if isinstance(error, DaemonError) else DaemonError
        self.exit_code = kind.exit_code
        self.post.channel.send(Failed(explain(error), self.exit_code))

    def let_go(self) -> None:
        """In a child that the application forks: what it holds would outlive the daemon with it."""
        if not self._forking:
            for _, listener in self.post.listeners:
                listener.close()
            if (berth := self.post.berth) is not None:
                berth.close()
            self.post.channel.close()

    def _set_forking(self, forking: bool) -> None:
        self._forking = forking


def load(worker: WorkerPlan, find: Callable[[WorkerPlan], Any]) -> Any:
    """The application, as `find` gives it.

    Raises:
        LoadError: the application cannot be had.
    """
    alias.install()  # the application may import granian.rsgi
    application = find(worker)
    refuse_misfit(worker.interface, application)
    return application


class _Worker(Serving):
    """The part of the life in which the loop runs."""

    def __init__(
        self,
        plan: DaemonPlan,
        post: Post,
        desk: Desk,
        interface: Interface,
        loop: asyncio.AbstractEventLoop,
        turn: Turn,
    ) -> None:
        terms = (desk, interface, loop, turn, post.berth, post.generation)
        super().__init__(plan, post.listeners, post.contexts, *terms)
        self.heir = False  # it is to become a mold in the end
        self._channel = post.channel

    async def live(self) -> None:
        """Start up, serve, drain, shut down.

        Raises:
            StartupError: the application refused to start.
        """
        self._loop.set_exception_handler(self._loop_error)
        await self.startup()
        self._listen_to_master()
        self._loop.add_signal_handler(signal.SIGTERM, self._ask_to_leave)
        heartbeat.start(self._loop, self._desk.row, self._connections)
        self.open()
        libc.malloc_trim()  # what the imports have left over
        self._channel.send(Ready())
        await self.until_empty()

    def _listen_to_master(self) -> None:
        self._loop.add_reader(self._channel.fileno(), self._hear_master)

    def _hear_master(self) -> None:
        try:
            while (received := self._channel.receive()) is not None:
                message, fds = received
                if isinstance(message, DrainOrder):
                    self.heir = message.heir
                    self.drain(message)
                    self._channel.send(Closed())
                elif isinstance(message, Reopen):
                    self._desk.reopen(message.path, fds)
                elif isinstance(message, Renew):
                    self.renew(fds)
                elif isinstance(message, Dump):
                    self._dump(message.ticket)
                elif isinstance(message, Trim):
                    gc.collect()
                    libc.malloc_trim()
                elif isinstance(message, Pin):
                    room = importlib.import_module(PINNING)
                    self._pin(message.ticket, room.pin(room.OF_WORKER), [])
        except Gone:
            # The kernel kills this process with the master (identity.die_with); should the master
            # only have closed its end, nobody can order anything any more: leave in good order.
            self._loop.remove_reader(self._channel.fileno())
            self.leave()

    def _dump(self, ticket: int) -> None:
        """Tell what every task and thread is doing."""
        text: str = importlib.import_module(STACKS).describe(self._loop)
        self._channel.answer(ticket, text)

    def _pin(self, ticket: int, steps: Iterator[str], done: list[str]) -> None:
        """Import one module in each turn of the loop: nobody waits for all of them."""
        if (name := next(steps, None)) is not None:
            self._loop.call_soon(self._pin, ticket, steps, [*done, name])
        else:
            self._channel.answer(ticket, importlib.import_module(PINNING).told(done))

    def _ask_to_leave(self) -> None:
        """SIGTERM by somebody other than the master: it finds a successor, then orders a drain."""
        self._channel.send(Leaving())

    def _loop_error(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What nobody awaited: a task of the application, or a fault of ours."""
        error = context.get("exception")
        reason = context["message"]
        if error is not None:
            reason += "\n" + "".join(traceback.format_exception(error)).rstrip()
        self._desk.log.event("loop_error", reason=reason)


def _say_goodbye() -> None:
    """What an interpreter does at its end, in its order: threads, executors, exit handlers.

    The process leaves by os._exit, because the frames below `run` are the master's. A thread that
    does not end is waited for until the master's patience is over.
    """
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - as multiprocessing does
    atexit._run_exitfuncs()  # noqa: SLF001 - as above: there is no other way
