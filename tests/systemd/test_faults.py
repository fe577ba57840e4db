"""What goes wrong in a service is mended by whoever should: the master, or systemd."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tests.process.daemon import PATIENCE_S, wait_until

if TYPE_CHECKING:
    from tests.systemd.service import Service


def ask_and_leave(service: Service, path: str) -> threading.Thread:
    """Ask for what may never be answered."""

    def ask() -> None:
        with suppress(OSError):
            service.get(path)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    return thread


def await_log(service: Service, text: str) -> None:
    wait_until(lambda: text in service.journal(), lambda: f"no {text!r} in\n{service.journal()}")


def untouched(service: Service, master: str) -> bool:
    """systemd had nothing to do."""
    kept = service.master == master and service.show("NRestarts") == "0"
    return kept and service.show("ActiveState") == "active"


def test_the_only_worker_hangs_and_is_replaced_before_the_watchdog_looks(serve):
    # Scaled down from WatchdogSec=30 and workers_stall_timeout = 30.
    service = serve("workers_stall_timeout = 1", "[Service]\nWatchdogSec=8\n", workers=1)
    master, (worker,) = service.master, service.worker_pids()
    asked = ask_and_leave(service, "/hang")
    asked.join(PATIENCE_S)  # its connection ends with the worker
    wait_until(lambda: service.worker_pids() not in ([], [worker]))
    assert service.get().text.startswith("one ")
    assert "main.py" in service.journal()  # where it hung
    assert untouched(service, master), service.journal()


def test_the_master_hangs_and_the_watchdog_starts_the_service_again(serve):
    service = serve("", "[Service]\nWatchdogSec=2\n", workers=1)
    group = Path(service.machine.path("/sys/fs/cgroup")) / service.show("ControlGroup")[1:]
    pids = [int(pid) for pid in (group / "cgroup.procs").read_text().split()]
    (master,) = set(pids) - set(service.worker_pids())
    os.kill(master, signal.SIGSTOP)
    await_log(service, "Watchdog timeout")
    wait_until(lambda: service.show("NRestarts") == "1" and service.show("SubState") == "running")
    assert service.get().text.startswith("one ")


def test_the_master_dies_and_the_service_starts_again(serve):
    service = serve(workers=1)
    service.systemctl("start")
    service.machine("kill", "-KILL", service.master)
    wait_until(lambda: service.show("NRestarts") == "1" and service.show("SubState") == "running")
    assert service.get().text.startswith("one ")


def test_a_worker_that_is_killed_for_its_memory_is_replaced(serve):
    # The rig's own tree of control groups may have no memory controller: it is set up by hand then.
    service = serve(workers=1)
    master, (worker,) = service.master, service.worker_pids()
    limit = MemoryLimit(service)
    try:
        limit.apply(worker, 120 << 20)
        asked = ask_and_leave(service, "/eat?400")
        asked.join(PATIENCE_S)
        wait_until(lambda: service.worker_pids() not in ([], [worker]))
    finally:
        limit.lift()
    assert limit.kills() > 0
    assert service.get().text.startswith("one ")
    assert untouched(service, master), service.journal()


class MemoryLimit:
    """MemoryMax= of a service; where memory is still controlled by version 1 of control groups,
    which a unified tree cannot have, the same limit on one of its workers."""

    def __init__(self, service: Service) -> None:
        self._service = service
        tree = service.machine.path("/sys/fs/cgroup")
        self._unified = "memory" in (tree / "cgroup.controllers").read_text().split()
        self._old = Path("/sys/fs/cgroup/memory") / f"granian-d-{service.name}"
        self._counted = 0

    def apply(self, worker: int, limit: int) -> None:
        if self._unified:
            unit = self._service.unit
            values = (f"MemoryMax={limit}", "MemorySwapMax=0")
            self._service.machine("systemctl", "set-property", "--runtime", unit, *values)
            return
        self._old.mkdir()
        (self._old / "memory.limit_in_bytes").write_text(str(limit))
        (self._old / "cgroup.procs").write_text(str(worker))

    def kills(self) -> int:
        return self._counted

    def lift(self) -> None:
        if self._unified:
            events = f"/sys/fs/cgroup{self._service.show('ControlGroup')}/memory.events"
            text = self._service.machine.path(events).read_text()
        else:
            text = (self._old / "memory.oom_control").read_text()
            self._old.rmdir()
        counts = dict(line.split() for line in text.splitlines())
        self._counted = int(counts["oom_kill"])
