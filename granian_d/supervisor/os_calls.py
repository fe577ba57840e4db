"""The master's hands: every Command, carried out. No decision is taken here."""

from __future__ import annotations

import errno
import gc
import os
import signal
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from granian_d.control.channel import Renew, Reopen, sealed_memory
from granian_d.control.channel import Trim as TrimOrder
from granian_d.errors import DaemonError, ListenError
from granian_d.observe.scoreboard import ACTIVE, HEALTHS, LAST_NS
from granian_d.supervisor import child, pid_file, tally
from granian_d.supervisor.listeners import Listeners, addresses, all_of
from granian_d.supervisor.nursery import MOLD_SLOT, Nursery
from granian_d.supervisor.safekeeping import Safekeeping
from granian_d.supervisor.upgrade import Upgrader
from granian_d.supervisor.vocabulary import (
    Announce,
    CloseListeners,
    Command,
    Commit,
    Discard,
    DismissMold,
    DrainWorker,
    Event,
    Exit,
    KillWorker,
    PlanFailed,
    ReopenLogs,
    Report,
    ShowHealth,
    Spawn,
    StartCheck,
    StartMold,
    StartPlanner,
    StopPlanner,
    Trim,
    Upgrade,
    Verdict,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from granian_d.control.channel import Berth, Post
    from granian_d.plan import DaemonPlan, ListenerPlan
    from granian_d.supervisor.certificates import Certificates, Renewal
    from granian_d.supervisor.child import Child, PlannerProcess
    from granian_d.supervisor.datagrams import Datagrams
    from granian_d.supervisor.exporter import Exporter
    from granian_d.supervisor.launch import Launch
    from granian_d.supervisor.reception import Reception
    from granian_d.supervisor.watcher import Watcher

    Supplies = tuple[DaemonPlan, tuple[tuple[ListenerPlan, socket.socket], ...], object]

DATAGRAMS: Final = "granian_d.supervisor.datagrams"  # only a plan with HTTP/3 has a use for it


class OsCalls:
    """Carries out commands; keeps what they need: children, plans by generation, listeners."""

    def __init__(self, launch: Launch) -> None:
        self.runtime = launch.runtime
        self.notifier = launch.notifier
        self.scoreboard = launch.scoreboard
        self.listeners = Listeners(launch.inherited, launch.store)
        self.safekeeping = Safekeeping(launch.store)
        self.upgrader = Upgrader(self)
        self.certificates: Certificates | None = None  # until a plan has TLS
        self.datagrams: Datagrams | None = None  # until a plan has HTTP/3
        self.reception: Reception | None = None  # where a plan has a control socket
        self.exporter: Exporter | None = None  # since a plan has metrics
        self.watcher: Watcher | None = None  # where a plan has files watched
        self.nursery = Nursery(self)
        self.children = self.nursery.children
        self.molds = self.nursery.molds
        self.plans: dict[int, DaemonPlan] = {}
        self.planner: PlannerProcess | None = None  # the one whose answer is wanted
        self.planners: list[PlannerProcess] = []  # all that are not reaped yet
        self.news: list[Event] = []  # what carrying out a command has brought about at once
        self.answers: list[bytes] = []  # of planners that had ended before
        self.exit_code: int | None = None
        self.master_pid = os.getpid()
        self.pid_file = ""
        self._on_fork: Callable[[], None] = lambda: None
        self._hands: Final[Mapping[type, Callable[[Any], None]]] = {
            StartPlanner: self._start_planner,
            StopPlanner: self._stop_planner,
            StartCheck: self.upgrader.start_check,
            Upgrade: self.upgrader.want,
            Spawn: self.nursery.spawn,
            StartMold: self.nursery.start_mold,
            DismissMold: self.nursery.dismiss,
            DrainWorker: self.nursery.drain,
            KillWorker: self.nursery.kill,
            Commit: self._commit,
            Discard: self._discard,
            Announce: self._announce,
            Verdict: self._tell_verdict,
            ShowHealth: self._show_health,
            CloseListeners: self._close_listeners,
            ReopenLogs: self._reopen_logs,
            Trim: self._trim,
            Report: self.report,
            Exit: self._exit,
        }
        self.status = "starting"

    @property
    def committed(self) -> DaemonPlan | None:
        """The plan of the service; a candidate's, while there is one, is beside it."""
        return self.plans[min(self.plans)] if self.plans else None

    @property
    def changing(self) -> bool:
        """A plan is being made, or is not the service's yet."""
        return self.planner is not None or len(self.plans) > 1

    def do(self, command: Command) -> None:
        """Carry out one command."""
        self._hands[type(command)](command)

    def on_fork(self, close: Callable[[], None]) -> None:
        """Have `close` called in each child first: it closes what belongs to the loop."""
        self._on_fork = close

    def adopt_plan(self, generation: int, plan: DaemonPlan) -> None:
        """Make a plan usable as `generation`: its listeners open, its code warm.

        Raises:
            ListenError: an address cannot be had; nothing has changed then.
            ConfigError: the pid file belongs to another daemon (first plan only), or a certificate
                cannot be used any more.
            DaemonError: of Runtime.before_workers.
        """
        first = not self.plans
        if first:
            pid_file.write(plan.master.pid_file, self.master_pid)
            self.pid_file = plan.master.pid_file
        try:
            self.runtime.open_logs(plan)
            self.listeners.open(all_of(plan))
            self._open_datagrams(plan)
            self.adopt_certificates(plan)
            self.runtime.before_workers(first=first)
        except DaemonError:
            self._keep_committed()
            raise
        self.plans[generation] = plan
        if plan.pool.preload:
            self.runtime.adopt_orphans()
        self.listeners.keep(all_of(plan))
        if first:
            self.runtime.adopt_logs(plan)
            self.runtime.set_title(f"granian-d: master [{plan.master.process_name}]")
            self.open_reception(plan.master.control_socket)
            self.runtime.warm(plan)
            self.safekeeping.begin(self.scoreboard)
            self.report(Report("starting", {"version": plan.version, "pid": self.master_pid}))
            for address in addresses(plan, self.listeners, self.datagrams):
                self.report(Report("listening", {"address": address}))
            self.mind_watcher()

    def _open_datagrams(self, plan: DaemonPlan) -> None:
        """Open the UDP sockets of a plan.

        Raises:
            ListenError: one of them cannot be had; nothing has changed.
        """
        for name in self.listeners.unread(plan):
            self.report(Report("datagrams_unread", {"name": name}))
        if plan.quic is not None:
            self.datagrams = self.datagrams or import_module(DATAGRAMS).begin(self)
            self.datagrams.open(plan)

    def open_reception(self, path: str, waiting: Iterable[tuple[int, int]] = ()) -> None:
        """Listen to granianctl; where the socket cannot be had, serve on without it.

        Args:
            path: of the socket; "" for none.
            waiting: who waited at this process' predecessor: Reception.waiting.
        """
        if not path:
            return
        # Only where it is wanted: most of its memory would be spent for nothing.
        from granian_d.supervisor.reception import Reception  # noqa: PLC0415 - as above

        try:
            self.reception = Reception(path, self.nursery.everybody, self.report, waiting)
        except ListenError as error:
            self.report(Report("control_failed", {"reason": str(error)}))

    def look_at_callers(self, now: float) -> None:
        """See to those at the control socket who are late."""
        if self.reception is not None:
            self.reception.look(now)

    def pids(self) -> set[int]:
        """Of all children that are known and not reaped."""
        pids = {known.pid for known in self.nursery.everybody().values()}
        pids |= {planner.pid for planner in self.planners}
        if self.exporter is not None:
            pids.update(self.exporter.pids.values())
        if self.watcher is not None:
            pids.add(self.watcher.pid)
        return pids

    def tell_what_it_held(self, gone: Child) -> None:
        """Who leaves in good order holds nothing any more."""
        row = self.scoreboard.row(gone.row)
        if not row[ACTIVE]:
            return
        fields = {
            "worker": gone.slot,
            "pid": gone.pid,
            "requests": row[ACTIVE],
            "last": self.scoreboard.last_request(gone.row) or "unknown",
            "age_s": time.monotonic() - row[LAST_NS] / 1e9,
        }
        self.report(Report("worker_held", fields))

    def export_metrics(self, plan: DaemonPlan) -> None:
        """Have metrics told as a plan wants it."""
        if plan.metrics is not None and self.exporter is None:
            # Only where it is wanted, as above.
            from granian_d.supervisor.exporter import Exporter  # noqa: PLC0415 - as above

            self.exporter = Exporter(self)
        if self.exporter is not None:
            self.exporter.follow(plan)

    def look_at_certificates(self, now: float) -> None:
        """Have workers use certificates that have changed on disk, and fresh ticket keys."""
        if self.certificates is not None:
            self._tell_renewals(self.certificates.look(now))
            if plan := self.committed:
                self.safekeeping.keep_tickets(self.certificates.tickets(plan.tls))
        self.safekeeping.flush()

    def adopt_certificates(self, plan: DaemonPlan) -> None:
        """Have contexts of OpenSSL for a plan.

        Raises:
            TlsFault: its files cannot be used.
        """
        if plan.tls is None:
            return
        if self.certificates is None:
            # OpenSSL is a tenth of the master's memory: only where it is wanted.
            from granian_d.supervisor.certificates import Certificates  # noqa: PLC0415 - as above

            self.certificates = Certificates()
        tickets = self.safekeeping.take_tickets()
        self._tell_renewals([self.certificates.adopt(plan.tls, tickets)])

    def _tell_renewals(self, renewals: Iterable[Renewal | None]) -> None:
        for renewal in filter(None, renewals):
            if renewal.unshared:
                self.report(Report("tls_tickets_unshared", {}))
            if renewal.names:
                self.report(Report("tls_renewed", {"names": renewal.names}))
            if renewal.fault:
                self.report(Report("tls_renewal_failed", {"reason": renewal.fault}))
            if renewal.material:
                self._hand_out(renewal)

    def _hand_out(self, renewal: Renewal) -> None:
        """Give new certificates to the workers and molds of the plan that they are for."""
        try:
            fd = sealed_memory(renewal.material)
        except OSError as error:
            self.report(Report("tls_renewal_failed", {"reason": str(error)}))
            return
        for one in self.nursery.everybody().values():
            plan = self.plans.get(one.generation)  # none: it accepts no more
            if plan is not None and plan.tls == renewal.plan:
                one.channel.send(Renew(), [fd])
        os.close(fd)

    def _start_planner(self, _: StartPlanner) -> None:
        runtime = self.runtime
        try:
            if answer := runtime.take_answer():
                return self.answers.append(answer)
            self.planner = child.start_planner(runtime.planner_command, runtime.planner_input())
        except OSError as error:
            self.news.append(PlanFailed(f"cannot start the planner: {error.strerror}", os.EX_OSERR))
        else:
            self.planners.append(self.planner)

    def _stop_planner(self, _: StopPlanner) -> None:
        for process in filter(None, (self.planner, self.upgrader.check)):
            signal.pidfd_send_signal(process.pidfd, signal.SIGKILL)
        self.planner = self.upgrader.check = None

    def supplies(self, generation: int) -> Supplies:
        """What children of a generation are given: plan, sockets, contexts of OpenSSL.

        Raises:
            OSError: this release could not read the plan.
        """
        plan = self.plans.get(generation)
        if plan is None:  # of another release: see handover.plans_of
            raise OSError(errno.ENODATA, "its plan cannot be read any more")
        listeners = tuple(
            (entry, sock) for entry in plan.listeners for sock in self.listeners.sockets([entry])
        )
        return plan, listeners, self.certificates and self.certificates.contexts(plan.tls)

    def live(self, plan: DaemonPlan, post: Post) -> int:
        """In a child: be what the post says."""
        mold = post.slot == MOLD_SLOT
        self.let_go(() if mold else plan.listeners, None if mold else post.berth)
        return self.runtime.serve(plan, post)

    def let_go(self, listeners: Sequence[ListenerPlan], berth: Berth | None = None) -> None:
        """In a child: let go of everything that is the master's, but for these listeners."""
        self._on_fork()
        self.nursery.let_go()
        if self.exporter is not None:
            self.exporter.let_go()
        if self.reception is not None:
            self.reception.leave()
        self.notifier.close()
        self.safekeeping.close()
        self.listeners.close_others(listeners)
        if self.datagrams is not None:
            self.datagrams.let_go(berth)
        for planner in self.planners:
            planner.close()
        if self.watcher is not None:
            self.watcher.let_go()

    def mind_watcher(self) -> None:
        """Have files watched as the committed plan wants it."""
        plan = self.committed
        if plan is None or (plan.watch is None and self.watcher is None):
            return
        if self.watcher is None:
            # For development only.
            from granian_d.supervisor.watcher import Watcher  # noqa: PLC0415 - as above

            self.watcher = Watcher(self)
        self.watcher.follow(plan)

    def _commit(self, command: Commit) -> None:
        plan = self.plans[command.generation]
        changed = [before for g, before in self.plans.items() if g < command.generation]
        if changed:
            self.runtime.adopt_logs(plan)
            self._report_restart_needs(changed[-1], plan)
        self._keep_only(command.generation)

    def _report_restart_needs(self, before: DaemonPlan, after: DaemonPlan) -> None:
        names = [
            name
            for name in before.master.__dataclass_fields__
            if getattr(before.master, name) != getattr(after.master, name)
        ]
        if names:
            self.report(Report("restart_needed", {"options": ", ".join(names)}))

    def _discard(self, command: Discard) -> None:
        self.plans.pop(command.generation)
        self._keep_committed()

    def _keep_committed(self) -> None:
        """A plan came to nothing: close the log files and listeners that only it wanted."""
        if plan := self.committed:
            self.runtime.adopt_logs(plan)
            self._keep_only(min(self.plans))

    def _keep_only(self, generation: int) -> None:
        """That plan is the service; listeners and plans of others have no use any more."""
        plan = self.plans[generation]
        self.plans = {generation: plan}
        self.listeners.retain(listener.key for listener in all_of(plan))
        if self.datagrams is not None:
            self.datagrams.retain(plan)
        self.export_metrics(plan)
        if self.certificates is not None:
            self.certificates.retain(plan.tls)
        self.mind_watcher()

    def _announce(self, command: Announce) -> None:
        if command.phase == "ready":
            self.notifier.ready(self.status)
            # Cycles that a change leaves behind would wait for a quarter as many objects as were
            # frozen; those are not looked at here, so this takes no time.
            gc.collect()
        elif command.phase == "reloading":
            self.notifier.reloading()
        else:
            self.notifier.stopping(self.status)

    def _tell_verdict(self, command: Verdict) -> None:
        if self.reception is not None:
            self.reception.judge(command)

    def _show_health(self, command: ShowHealth) -> None:
        self.scoreboard.health[0] = HEALTHS.index(command.health)

    def _close_listeners(self, _: CloseListeners) -> None:
        self.listeners.leave()

    def _reopen_logs(self, _: ReopenLogs) -> None:
        files = self.runtime.reopen_logs()
        for one in self.nursery.everybody().values():
            for path, fd in files.items():
                one.channel.send(Reopen(path), [fd])
        if self.exporter is not None:
            self.exporter.dismiss()  # its successor has the new ones
        self.report(Report("reopened", {}))

    def _trim(self, _: Trim) -> None:
        for one in self.children.values():  # a mold's pages are shared: to touch them costs some
            one.channel.send(TrimOrder())

    def report(self, command: Report) -> None:
        """Log an event; the number of a worker or mold becomes its pid."""
        fields = dict(command.fields)
        if "number" in fields:
            fields["pid"] = self.nursery.pids.get(fields.pop("number"), 0)
        self.runtime.log.event(command.event, **fields)
        tally.count(self.scoreboard, command)
        if self.reception is not None:
            self.reception.tell(command.event, fields)

    def _exit(self, command: Exit) -> None:
        self.listeners.leave()
        if self.datagrams is not None:
            self.datagrams.close()
        if self.exporter is not None:
            self.exporter.end()
        self.safekeeping.flush()
        if self.reception is not None:
            self.reception.close()
            self.reception = None
        pid_file.remove(self.pid_file, self.master_pid)
        self.exit_code = command.code
