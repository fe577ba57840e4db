"""The control socket: where granianctl asks, and is told how it went.

The master never waits here: it reads what has come and sends what goes. All descriptors are behind
one epoll(7), so that the loop has one to watch. A request becomes an Event; who waits for a change
is told every line that the master logs, and the Verdict in the end.
"""

from __future__ import annotations

import json
import os
import select
import socket
import time
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from granian_d.control import pinning, wire
from granian_d.control.channel import Dump, sealed_memory
from granian_d.control.wire import Done, Misunderstood
from granian_d.errors import DaemonError
from granian_d.observe.events import EVENTS, LEVELS
from granian_d.plan import MOST_WORKERS, ListenerPlan
from granian_d.supervisor import changes
from granian_d.supervisor.caller import Caller, Lost
from granian_d.supervisor.dumps import Dumps
from granian_d.supervisor.listeners import Listeners
from granian_d.supervisor.roster import NEVER, Roster
from granian_d.supervisor.vocabulary import Report, Wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from granian_d.supervisor.child import Child
    from granian_d.supervisor.vocabulary import Intent, Verdict

MOST_CALLERS: Final = 16
PATIENCE_S: Final = 5.0  # with a caller who neither asks nor reads

_TOLD: Final = LEVELS["info"].rank
_STOPS: Final = Done(os.EX_TEMPFAIL, changes.THE_END)

_AT_ONCE: Final[Mapping[type, Intent]] = {wire.Stop: "stop", wire.Quit: "quit"}
_CHANGES: Final[Mapping[type, Intent]] = {wire.Reload: "reload", wire.Upgrade: "upgrade"}


class Reception:
    """The socket and those who called.

    Args:
        path: of the socket.
        children: gives the workers and molds there are, by number.
        report: logs, and comes back with it to `tell`.
        waiting: who waited at this process' predecessor, as its `waiting()` gave them.

    Raises:
        ListenError: the path cannot be had.
    """

    def __init__(
        self,
        path: str,
        children: Callable[[], Mapping[int, Child]],
        report: Callable[[Report], None],
        waiting: Iterable[tuple[int, int]] = (),
    ) -> None:
        self._report = report
        self._roster = Roster()
        self._callers: dict[int, Caller] = {}  # by descriptor
        self._dumps = Dumps(children)
        self._listeners = Listeners(())
        plan = _plan_of(path)
        self._listeners.open([plan])
        (self._door,) = self._listeners.sockets([plan])
        self._closed = False
        self._epoll = select.epoll()
        self._epoll.register(self._door, select.EPOLLIN)
        for fd, awaited in waiting:
            os.set_inheritable(fd, False)
            caller = Caller(socket.socket(fileno=fd), NEVER)
            caller.awaited = awaited
            self._admit(caller)

    # --- for the loop ---------------------------------------------------------------------------

    def fileno(self) -> int:
        """The one descriptor to watch."""
        return self._epoll.fileno()

    def hear(self, describe: Callable[[], dict[str, Any]]) -> Iterator[Wanted]:
        """Somebody has called, asked or read.

        Args:
            describe: makes the report of `status`.
        """
        for fd, events in self._epoll.poll(0):
            if fd == self._door.fileno():
                self._accept()
            elif (caller := self._callers.get(fd)) is not None:
                yield from self._attend(caller, events, describe)

    def decided(self, roster: Roster) -> None:
        """Something was decided: to be told before it is carried out, which may end a change."""
        self._roster = roster
        for caller in self._all():
            if caller.asks:
                caller.asks = False
                caller.awaited = roster.awaited

    def tell(self, event: str, fields: Mapping[str, Any]) -> None:
        """Something was logged: who waits hears it too."""
        waiters = self._waiters()
        level, sentence = EVENTS[event]
        if waiters and LEVELS[level].rank >= _TOLD:
            phase = wire.Phase(event, level, sentence.format(**fields))
            for caller in waiters:
                self._say(caller, phase)

    def judge(self, verdict: Verdict) -> None:
        """A change is over: tell those who waited for it, or for an earlier one."""
        for caller in self._waiters():
            if caller.awaited is not None and verdict.change >= caller.awaited:
                self._say(caller, Done(verdict.exit_code, verdict.reason))

    def dumped(self, worker: int, ticket: int, fds: list[int]) -> None:
        """A worker has written down its stacks."""
        ordered = self._dumps.take(worker, ticket, fds)
        if ordered is not None:
            title = f"{ordered.who} (PID {ordered.pid})"
            self._say(ordered.caller, wire.Document(title), fds[0])
            self._end_dump(ordered.caller)

    def look(self, now: float) -> None:
        """Time has passed: workers and callers that are late."""
        for ordered in self._dumps.overdue(now):
            fields = {"who": ordered.who.capitalize(), "pid": ordered.pid}
            late = Report("worker_mute" if ordered.kind is Dump else "pin_late", fields)
            self._report(late)
            level, sentence = EVENTS[late.event]
            self._say(ordered.caller, wire.Phase(late.event, level, sentence.format(**fields)))
            self._end_dump(ordered.caller)
        for caller in self._all():
            if now >= caller.deadline:
                self._drop(caller)
        if self._closed:
            self._closed = False
            self._epoll.modify(self._door, select.EPOLLIN)

    # --- the end --------------------------------------------------------------------------------

    def waiting(self) -> list[tuple[int, int]]:
        """Those who wait, to be carried over an exec: (descriptor, awaited change) each.

        Who is behind with his reading is dropped: half a line cannot be carried over.
        """
        for caller in self._waiters():
            if caller.owed:
                self._drop(caller)
        return [(caller.fileno(), caller.awaited or 0) for caller in self._waiters()]

    def close(self) -> None:
        """Let everybody go; unlink the path if it is still ours."""
        for caller in self._waiters():
            self._say(caller, _STOPS)
        for caller in self._all():
            self._drop(caller)
        self._epoll.close()
        self._listeners.retain(())

    def leave(self) -> None:
        """In a child: close what is the master's, whose epoll(7) and path stay as they are."""
        self._epoll.close()
        self._listeners.close_others(())
        for caller in self._callers.values():
            caller.close()

    # --- callers --------------------------------------------------------------------------------

    def _all(self) -> list[Caller]:
        return list(self._callers.values())

    def _waiters(self) -> list[Caller]:
        return [c for c in self._callers.values() if c.awaited is not None and not c.ended]

    def _accept(self) -> None:
        try:
            sock, _ = self._door.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # he has gone again
        except OSError:  # no descriptor is left for him: he stays in the queue until we look again
            self._epoll.modify(self._door, 0)
            self._closed = True
            return
        caller = Caller(sock, time.monotonic() + PATIENCE_S)
        if (refusal := self._refusal(caller)) is None:
            self._admit(caller)
            return
        with suppress(Lost):
            caller.tell(refusal)
        caller.close()

    def _refusal(self, caller: Caller) -> Done | None:
        """Only root and whom the master runs as may control it."""
        if caller.uid not in (0, os.geteuid()):
            self._report(Report("control_refused", {"pid": caller.pid, "uid": caller.uid}))
            return Done(os.EX_NOPERM, f"user {caller.uid} may not control this daemon")
        if len(self._callers) >= MOST_CALLERS:
            return Done(os.EX_TEMPFAIL, f"there are {MOST_CALLERS} callers already")
        return None

    def _admit(self, caller: Caller) -> None:
        self._callers[caller.fileno()] = caller
        self._epoll.register(caller.fileno(), select.EPOLLIN)

    def _drop(self, caller: Caller) -> None:
        if self._callers.pop(caller.fileno(), None) is None:
            return
        self._dumps.forget(caller)
        self._epoll.unregister(caller.fileno())
        caller.close()

    def _say(self, caller: Caller, answer: wire.Answer, fd: int = -1) -> None:
        """Tell him; after the last answer he has as long as we are patient to read it."""
        if caller.fileno() not in self._callers:
            if fd != -1:
                os.close(fd)
            return
        try:
            caller.tell(answer, fd)
        except Lost:
            self._drop(caller)
            return
        if caller.ended:
            caller.deadline = time.monotonic() + PATIENCE_S
        self._follow(caller)

    def _follow(self, caller: Caller) -> None:
        """Wait for what he does next, or let him go when he has all."""
        if caller.ended and not caller.owed:
            self._drop(caller)
            return
        events = select.EPOLLIN | (select.EPOLLOUT if caller.owed else 0)
        self._epoll.modify(caller.fileno(), events)

    # --- requests -------------------------------------------------------------------------------

    def _attend(
        self, caller: Caller, events: int, describe: Callable[[], dict[str, Any]]
    ) -> Iterator[Wanted]:
        line = None
        try:
            if events & select.EPOLLOUT:
                caller.flush()
            if events & ~select.EPOLLOUT:
                line = caller.read()
        except Lost:
            self._drop(caller)
            return
        self._follow(caller)
        if line is not None:
            yield from self._serve(caller, line, describe)

    def _serve(
        self, caller: Caller, line: bytes, describe: Callable[[], dict[str, Any]]
    ) -> Iterator[Wanted]:
        try:
            request = wire.decode_request(line)
        except Misunderstood as error:
            self._say(caller, Done(os.EX_USAGE, f"the request is not understood: {error}"))
            return
        caller.deadline = NEVER  # from here on it is for us to act
        if isinstance(request, wire.Status):
            self._describe(caller, describe)
            return
        self._log(caller, request)
        if (intent := _AT_ONCE.get(type(request))) is not None:
            self._say(caller, Done(0, ""))
            yield Wanted(intent)
        elif isinstance(request, wire.Stacks):
            self._dump(caller, request.slot)
        elif isinstance(request, wire.Pin):
            self._pin(caller)
        elif isinstance(request, wire.Scale):
            yield from self._scale(caller, request.workers)
        elif isinstance(request, wire.Reload | wire.Upgrade):
            yield from self._change(caller, request)

    def _log(self, caller: Caller, request: wire.Request) -> None:
        name = type(request).__name__.lower()
        fields = {"request": name, "pid": caller.pid, "uid": caller.uid}
        self._report(Report("control_request", fields))

    def _describe(self, caller: Caller, describe: Callable[[], dict[str, Any]]) -> None:
        try:
            text = json.dumps(describe(), ensure_ascii=False)
            fd = sealed_memory(text.encode("utf-8", "backslashreplace"))
        except OSError as error:
            self._say(caller, Done(os.EX_OSERR, f"no place for an answer: {error.strerror}"))
            return
        except Exception as error:  # noqa: BLE001 - a fault in a report must not end the service
            self._report(Report("loop_error", {"reason": traceback.format_exc().rstrip()}))
            self._say(caller, Done(DaemonError.exit_code, f"the report failed: {error!r}"))
            return
        self._say(caller, wire.Document("status"), fd)
        self._say(caller, Done(0, ""))

    def _change(self, caller: Caller, request: wire.Reload | wire.Upgrade) -> Iterator[Wanted]:
        if self._roster.phase not in ("booting", "serving"):
            self._say(caller, _STOPS)
            return
        if request.wait:
            caller.asks = True
        else:
            self._say(caller, Done(0, ""))
        yield Wanted(_CHANGES[type(request)])

    def _scale(self, caller: Caller, workers: int) -> Iterator[Wanted]:
        if not 1 <= workers <= MOST_WORKERS:
            self._say(caller, Done(os.EX_USAGE, f"{workers} is not from 1 to {MOST_WORKERS}"))
        elif self._roster.phase != "serving":
            self._say(caller, Done(os.EX_TEMPFAIL, f"the service is {self._roster.phase}"))
        else:
            self._say(caller, Done(0, ""))
            yield Wanted("scale", workers)

    def _dump(self, caller: Caller, slot: int) -> None:
        if not self._dumps.order(caller, slot, time.monotonic()):
            who = f"worker-{slot}" if slot else "worker"
            self._say(caller, Done(os.EX_USAGE, f"there is no {who}"))

    def _pin(self, caller: Caller) -> None:
        names = list(pinning.pin(pinning.OF_MASTER))
        text = pinning.told(names).encode()
        try:
            self._say(caller, wire.Document(f"master (PID {os.getpid()})"), sealed_memory(text))
        except OSError as error:
            self._say(caller, Done(os.EX_OSERR, f"no place for an answer: {error.strerror}"))
            return
        self._dumps.order_pinning(caller, time.monotonic())
        self._end_dump(caller)

    def _end_dump(self, caller: Caller) -> None:
        if not self._dumps.awaited_by(caller):
            self._say(caller, Done(0, ""))


def _plan_of(path: str) -> ListenerPlan:
    """The control socket as a listener: bound, taken over and unlinked by the same rules."""
    return ListenerPlan(
        key=f"unix:{path}",
        kind="unix",
        host="",
        port=0,
        path=path,
        fd=-1,
        name="",
        mode=0o600,
        uid=None,
        gid=None,
        backlog=MOST_CALLERS,
        proxy_protocol=False,
        tls=False,
        http3=False,
    )
