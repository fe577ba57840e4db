"""The master's loop: wait, turn what came into Events, decide, carry out. One thread, no waiting
anywhere but in the one `select`.

Descriptors it waits on: the wakeup pipe of signals, a pidfd and a channel for each worker, the
pipe of the planner, the control socket. Time is looked at once a turn.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, TypeVar

from granian_d.control.channel import Born, Closed, Dumped, Failed, Gone, Leaving, Molded, Ready
from granian_d.errors import DaemonError, told
from granian_d.observe import scoreboard as columns
from granian_d.observe.footprint import footprint
from granian_d.plan import decode
from granian_d.supervisor import child, policy, tally
from granian_d.supervisor.decide import decide, resume, start
from granian_d.supervisor.nursery import NOT_BORN
from granian_d.supervisor.os_calls import OsCalls
from granian_d.supervisor.roster import next_wake
from granian_d.supervisor.status_line import Rate, status_line
from granian_d.supervisor.vocabulary import (
    SIGNALS,
    Command,
    Event,
    MoldFailed,
    MoldReady,
    PlanFailed,
    PlanMade,
    Report,
    Tick,
    Vitals,
    Wanted,
    WorkerClosed,
    WorkerFailed,
    WorkerLeaving,
    WorkerReady,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from granian_d.control.channel import Message
    from granian_d.supervisor.child import PlannerProcess
    from granian_d.supervisor.handover import Handover
    from granian_d.supervisor.launch import Launch
    from granian_d.supervisor.roster import Roster

T = TypeVar("T")

SUCCESSION = "granian_d.supervisor.succession"  # no need of it in a master that has taken over none

MESSAGES_A_TURN = 16  # a worker that floods its channel must not keep the master from the others

_EVENTS: Final[dict[type, Callable[[int], Event]]] = {
    Ready: WorkerReady,
    Leaving: WorkerLeaving,
    Closed: WorkerClosed,
}


def run(launch: Launch) -> int:
    """Be the master until it leaves; its exit status. No descriptor of its own stays open."""
    loop = _Loop(launch)
    try:
        return loop.run()
    finally:
        loop.leave()


class _Loop:
    def __init__(self, launch: Launch) -> None:
        self._hands = OsCalls(launch)
        self._hands.on_fork(self.close)
        self._nursery = self._hands.nursery
        self._hands.upgrader.knowledge = lambda: (self._roster, self._generation)
        self._handover = launch.handover
        self._pressure = launch.pressure
        self._selector = selectors.DefaultSelector()
        self._wake_reader, self._wake_writer = os.pipe()
        self._mute: set[int] = set()  # workers that have closed their channel and not exited yet
        self._generation = 0
        self._rate = Rate(time.monotonic())
        watchdog_s = launch.notifier.watchdog_s
        self._tick_s = min(policy.TICK_S, watchdog_s / 3) if watchdog_s else policy.TICK_S
        self._next_tick = 0.0
        self._next_weighing = 0.0

    def run(self) -> int:
        self._listen_to_signals()
        self._next_tick = time.monotonic() + self._tick_s
        if self._handover is None:
            self._hands.scoreboard.facts[columns.BEGUN_NS] = time.time_ns()
            self._roster, commands = start(time.monotonic())
        else:
            self._roster, commands = self._take_over(self._handover)
        self._carry_out(commands)
        while self._hands.exit_code is None:
            for event in self._wait():
                self._turn(event)
        return self._hands.exit_code

    def _turn(self, event: Event) -> None:
        if self._hands.exit_code is not None:
            return
        self._roster, commands = decide(self._roster, event, time.monotonic())
        self._hands.status = self._status()
        tally.show(self._hands.scoreboard, self._roster)
        if self._hands.reception is not None:
            self._hands.reception.decided(self._roster)
        self._carry_out(commands)

    def _carry_out(self, commands: list[Command]) -> None:
        for command in commands:
            self._hands.do(command)
        self._watch()
        while self._hands.answers:
            self._turn(self._judge_answer(self._hands.answers.pop(), "before"))
        while self._hands.news:
            self._turn(self._hands.news.pop(0))
        if self._hands.upgrader.wanted:
            self._turn(self._hands.upgrader.execute(self._wake_reader))

    # --- what came ---------------------------------------------------------------------------

    def _wait(self) -> Iterator[Event]:
        """What has happened; comes back at the latest when `decide` wants to look again."""
        now = time.monotonic()
        wake = min(self._next_tick, next_wake(self._roster, now))
        timeout = max(0.0, wake - now)
        for key, _ in self._selector.select(timeout):
            hear: Callable[[], Iterator[Event]] = key.data
            # An earlier event of this turn may have ended what this descriptor stood for, and
            # given its number to something new.
            if self._selector.get_map().get(key.fd) is key:
                yield from hear()
        if time.monotonic() >= wake:
            yield self._tick()

    def _tick(self) -> Tick:
        now = time.monotonic()
        if now >= self._next_tick:
            self._next_tick = now + self._tick_s
            self._report_progress()
            self._hands.look_at_certificates(now)
            self._hands.look_at_callers(now)
            if self._hands.exporter is not None:
                self._hands.exporter.look(now)
                self._watch()
            self._hands.mind_watcher()
            # While one is expected, a stranger may be the one.
            if self._hands.runtime.reaps_strangers and not self._nursery.expecting:
                child.reap_strangers(self._hands.pids())
        self._hands.upgrader.vouch()
        children = self._hands.children
        vitals = {n: _vitals(self._hands.scoreboard.row(c.row)) for n, c in children.items()}
        if self._weighs(now):
            for number, one in vitals.items():
                taken = footprint(children[number].pid)
                vitals[number] = one._replace(rss_bytes=taken.rss, pss_bytes=taken.pss)
        queued = self._hands.listeners.queued()
        self._hands.scoreboard.facts[columns.QUEUED] = queued
        return Tick(vitals, queued)

    def _weighs(self, now: float) -> bool:
        """It is time to look at the memory of the workers."""
        terms = self._roster.terms.get(self._roster.committed)
        if terms is None or now < self._next_weighing:
            return False
        limits = terms.recycling
        self._next_weighing = now + limits.sample_interval_s
        return bool(limits.rss_bytes or limits.pss_bytes)

    def _listen_to_signals(self) -> None:
        for end in (self._wake_reader, self._wake_writer):
            os.set_blocking(end, False)
        for name in SIGNALS:
            signal.signal(getattr(signal, f"SIG{name}"), _heard_by_the_wakeup_pipe)
        signal.set_wakeup_fd(self._wake_writer, warn_on_full_buffer=False)
        signal.pthread_sigmask(
            signal.SIG_SETMASK, ()
        )  # a parent, or our last program, blocked them
        self._selector.register(self._wake_reader, selectors.EVENT_READ, self._hear_signals)

    def _hear_signals(self) -> Iterator[Event]:
        for number in os.read(self._wake_reader, 512):
            name = signal.Signals(number).name.removeprefix("SIG")
            if name not in SIGNALS:
                continue
            intent, meaning = SIGNALS[name]
            event = "signal_reload" if intent == "reload" else "signal"
            self._hands.runtime.log.event(event, signal=name, meaning=meaning)
            yield Wanted(intent)

    def _watch(self) -> None:
        """Have the selector follow the children and the planner that there are now."""
        wanted: dict[int, Callable[[], Iterator[Event]]] = {}
        for number, one in self._nursery.everybody().items():
            if one.pid != child.UNBORN:
                wanted[one.pidfd] = _bind(self._hear_exit, number)
            if number not in self._mute:
                wanted[one.channel.fileno()] = _bind(self._hear_child, number)
        for planner in self._hands.planners:
            wanted[planner.pidfd] = _bind(self._hear_planner, planner)
        if self._hands.exporter is not None:
            for pidfd in self._hands.exporter.pids:
                wanted[pidfd] = _bind(self._hear_exporter, pidfd)
        if self._hands.reception is not None:
            wanted[self._hands.reception.fileno()] = self._hear_callers
        if self._pressure is not None:
            wanted[self._pressure.fileno()] = self._hear_pressure
        watcher = self._hands.watcher
        if watcher is not None and watcher.fileno() != -1:
            wanted[watcher.fileno()] = self._hear_watcher
        known = set(self._selector.get_map()) - {self._wake_reader}
        for fd in known - set(wanted):
            self._selector.unregister(fd)
        for fd in set(wanted) - known:
            self._selector.register(fd, selectors.EVENT_READ, wanted[fd])
        if watcher is not None:
            watcher.tidy()

    def _hear_exit(self, number: int) -> Iterator[Event]:
        """The pidfd of a worker or mold is readable: it has ended. Its last words come first."""
        yield from self._hear_child(number)
        yield from self._bury(number, child.reap(self._nursery.find(number).pid))

    def _bury(self, number: int, how: str) -> Iterator[Event]:
        gone = self._nursery.find(number)
        self._unwatch(gone.pidfd, gone.channel.fileno())
        self._mute.discard(number)
        yield self._nursery.forget(number, how)
        self._nursery.pids.pop(number, None)

    def _hear_child(self, number: int) -> Iterator[Event]:
        channel = self._nursery.find(number).channel
        try:
            for _ in range(MESSAGES_A_TURN):
                if (received := channel.receive()) is None:
                    return
                message, fds = received
                if isinstance(message, Dumped) and self._hands.reception is not None:
                    self._hands.reception.dumped(number, message.ticket, fds)
                    continue
                for fd in fds:  # no worker has any other to give
                    os.close(fd)
                yield from self._understand(number, message)
        except Gone:
            if self._nursery.find(number).pid == child.UNBORN:
                yield from self._bury(number, NOT_BORN)
                return
            # The exit that explains it is on its way; until then this end has no more to say.
            self._mute.add(number)
            self._unwatch(channel.fileno())

    def _hear_callers(self) -> Iterator[Event]:
        """Something happens at the control socket."""
        assert self._hands.reception is not None
        yield from self._hands.reception.hear(self._describe)

    def _hear_exporter(self, pidfd: int) -> Iterator[Event]:
        """An exporter of metrics has ended: nothing to decide."""
        assert self._hands.exporter is not None
        self._unwatch(pidfd)
        self._hands.exporter.ended(pidfd, time.monotonic())
        self._watch()
        yield from ()

    def _hear_pressure(self) -> Iterator[Event]:
        assert self._pressure is not None
        if not self._pressure.hear():
            self._selector.unregister(self._pressure)
            self._pressure.close()
            self._pressure = None
        yield Wanted("trim")

    def _hear_watcher(self) -> Iterator[Event]:
        """Files have changed, or nobody looks at them any more."""
        assert self._hands.watcher is not None
        yield from self._hands.watcher.hear()
        self._watch()

    def _describe(self) -> dict[str, Any]:
        """The report of `granianctl status`."""
        # Most daemons are seldom asked; what it takes is not to be held by all of them.
        from granian_d.supervisor.report import describe  # noqa: PLC0415 - as above

        return describe(self._roster, self._hands, self._rate.per_s)

    def _understand(self, number: int, message: Message) -> Iterator[Event]:
        """A message of a worker or a mold as an event.

        Raises:
            Gone: nobody who is what it should be would say that.
        """
        nursery = self._nursery
        if nursery.find(number).pid == child.UNBORN:
            known = self._hands.pids()
            if not (isinstance(message, Born) and nursery.adopt(number, message.pid, known)):
                raise Gone
            self._watch()
        elif isinstance(message, Molded):
            if not nursery.become_mold(number):
                raise Gone
            if number in nursery.molds:
                yield MoldReady(number)
        elif isinstance(message, Failed):
            kind = MoldFailed if number in nursery.molds else WorkerFailed
            yield kind(number, message.reason, message.exit_code)
        elif isinstance(message, Ready | Leaving | Closed) and number in nursery.children:
            if isinstance(message, Ready):
                nursery.serves(number)
            yield _EVENTS[type(message)](number)

    def _unwatch(self, *fds: int) -> None:
        for fd in set(self._selector.get_map()).intersection(fds):
            self._selector.unregister(fd)

    # --- the planner ---------------------------------------------------------------------------

    def _hear_planner(self, planner: PlannerProcess) -> Iterator[Event]:
        """A planner's pidfd is readable: it has ended, and its answer is in the pipe."""
        planner.read()
        how = child.reap(planner.pid)
        self._unwatch(planner.pidfd)
        self._hands.planners.remove(planner)
        planner.close()
        if planner is self._hands.planner:
            self._hands.planner = None
            yield self._judge_answer(bytes(planner.answer), how)
        elif planner is self._hands.upgrader.check:
            yield self._hands.upgrader.judge(planner, how)

    def _judge_answer(self, answer: bytes, how: str) -> Event:
        """The planner's answer as an event; a good plan is adopted first."""
        try:
            record = json.loads(answer)
        except ValueError:
            return PlanFailed(f"the planner gave no answer ({how})", os.EX_SOFTWARE)
        if "done" in record:
            return PlanFailed("", record["done"])  # --help, --version: nothing to serve
        try:
            if "plan" not in record:
                raise told(record["error"], record["exit_code"])
            for warning in record["warnings"]:
                self._hands.do(Report("config_warning", {"reason": warning}))
            plan = decode(record["plan"])
            self._hands.adopt_plan(self._generation + 1, plan)
        except DaemonError as error:
            self._hands.runtime.refused(error)
            return PlanFailed(str(error), error.exit_code)
        self._generation += 1
        return PlanMade(self._generation, plan.pool)

    def _take_over(self, handover: Handover) -> tuple[Roster, list[Command]]:
        """Go on where this process' last program has left off."""
        self._roster, self._generation = handover.roster, handover.generation
        for event in import_module(SUCCESSION).adopt(self._hands, handover):
            self._turn(event)
        self._handover = None
        return resume(self._roster, time.monotonic())

    def leave(self) -> None:
        """The end: nothing of the master's is left in this process, not even after a fault."""
        for number, one in self._nursery.everybody().items():
            if one.pid != child.UNBORN:
                signal.pidfd_send_signal(one.pidfd, signal.SIGKILL)
                self._nursery.forget(number, child.reap(one.pid))
        signal.set_wakeup_fd(-1)
        self.close()

    # --- telling others ------------------------------------------------------------------------

    def _report_progress(self) -> None:
        notifier = self._hands.notifier
        rows = [worker.row for worker in self._nursery.children.values()]
        self._rate.feed(self._hands.scoreboard.total(columns.REQUESTS, rows), time.monotonic())
        if self._roster.phase != "serving" or self._roster.reloading:
            # An import, a roll or a drain takes as long as its own budget grants.
            notifier.extend(10 * self._tick_s)
        if self._roster.phase in ("serving", "stopping") and self._progress():
            notifier.alive()
        notifier.status(self._status())
        if failure := notifier.take_failure():
            self._hands.runtime.log.event("notify_failed", reason=failure)

    def _progress(self) -> bool:
        """Somebody's loop has turned within the watchdog's patience, or will: a worker that starts
        has a deadline of its own.
        """
        patience_s = self._hands.notifier.watchdog_s
        oldest = time.monotonic() - patience_s
        board = self._hands.scoreboard
        starting = any(worker.state == "starting" for worker in self._roster.workers.values())
        starting = starting or any(m.state == "starting" for m in self._roster.molds.values())
        rows = [worker.row for worker in self._hands.children.values()]
        return starting or any(board.beat_s(row) >= oldest for row in rows)

    def _status(self) -> str:
        return status_line(self._roster, self._rate.per_s, time.monotonic())

    def close(self) -> None:
        """Let go of what the loop waits with: in a child, whose it is not, and at the end."""
        self._selector.close()
        os.close(self._wake_reader)
        os.close(self._wake_writer)
        if self._pressure is not None:
            self._pressure.close()


def _vitals(row: columns.Row) -> Vitals:
    """What a worker has written of itself."""
    return Vitals(
        beat_s=row[columns.BEAT_NS] / 1e9,
        requests=row[columns.REQUESTS],
        active=row[columns.ACTIVE],
        connections=row[columns.CONNECTIONS],
        oldest_s=row[columns.OLDEST_NS] / 1e9,
        busy_s=row[columns.BUSY_NS] / 1e9,
        lag_s=row[columns.LAG_NS] / 1e9,
    )


def _bind(hear: Callable[[T], Iterator[Event]], whom: T) -> Callable[[], Iterator[Event]]:
    return lambda: hear(whom)


def _heard_by_the_wakeup_pipe(_number: int, _frame: object) -> None:
    """The number of the signal is in the pipe already (signal.set_wakeup_fd)."""
