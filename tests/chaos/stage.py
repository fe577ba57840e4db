"""One scenario's daemon, clients and findings."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.chaos import census
from tests.chaos.control import SOCKET, ControlledDaemon
from tests.chaos.load import Load
from tests.process.daemon import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable

HERE = Path(__file__).parent
CONFIG = """
app = "served:app"
interface = "asgi"
host = "127.0.0.1"
port = 0
workers = {workers}
http1.keep_alive_timeout = 20
workers_kill_timeout = 20
workers_stream_timeout = {stream_s}
max_generations = 8
control_socket = "{control}"
{more}
"""
BETWEEN = 400  # requests that are answered between two events
STORE_MAX = 64  # FileDescriptorStoreMax= of our unit
FIRST_STAMP = 1_700_000_000


@dataclass
class Findings:
    """What came out of one scenario in one set-up."""

    events: int = 0
    answered: dict[str, int] = field(default_factory=dict)
    rate: float = 0.0
    lost: list[dict[str, Any]] = field(default_factory=list)
    lost_count: int = 0
    held: list[dict[str, Any]] = field(default_factory=list)
    apart: dict[str, int] = field(default_factory=dict)
    longest_ms: dict[str, float] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    log: str = ""

    @property
    def good(self) -> bool:
        return not self.faults and not self.lost_count


class Stage:
    """A daemon under load; a context manager. Afterwards `findings` is complete.

    Args:
        workers: their number.
        more: further lines of the configuration.
        light: load it lightly.
        stream_s: what a worker that leaves has for answers that have begun and for WebSockets.
    """

    def __init__(
        self, workers: int, more: str = "", *, light: bool = False, stream_s: int = 12
    ) -> None:
        self.workers = workers
        self.findings = Findings()
        self._light = light
        self._held: list[census.Held] = []
        self._longest: Counter[str] = Counter()
        self._directory = tempfile.TemporaryDirectory(prefix="gd")
        self.directory = Path(self._directory.name)
        self._stamp = FIRST_STAMP
        shutil.copy(HERE / "payload.py", self.directory)
        self.deploy()
        control = self.directory / SOCKET
        self.config = CONFIG.format(workers=workers, more=more, control=control, stream_s=stream_s)
        self.daemon = ControlledDaemon(self.directory, self.config, store_max=STORE_MAX)

    def __enter__(self) -> Stage:
        self.daemon.start()
        self.daemon.wait_for("READY=1")
        self.daemon.wait_for_log("Started worker-", self.workers)
        self.port = self.daemon.port
        self.load = Load(("127.0.0.1", self.port), light=self._light).__enter__()
        self.load.more(10 if self._light else BETWEEN)
        return self

    def __exit__(self, kind: object, error: BaseException | None, *_: object) -> None:
        if error is not None:
            self.findings.faults.append(f"{type(error).__name__}: {str(error)[-2000:]}")
        try:
            self._end()
        finally:
            self.findings.log = self.daemon.log
            self.daemon.close()
            self._directory.cleanup()

    def _end(self) -> None:
        self._take_longest()
        self.load.__exit__(None, None, None)
        found, result = self.findings, self.load.result
        found.answered = result["answered"]
        found.rate = self.load.asked / self.load.seconds
        found.apart = result["apart"]
        for loss in result["lost"]:
            covered = any(held.covers(loss) for held in self._held)
            (found.held if covered else found.lost).append(loss)
        found.lost_count = result["lost_count"] - len(found.held)
        self.expect(result["under_way"] == 0, f"{result['under_way']} requests unaccounted for")
        found.longest_ms = {kind: longest * 1e3 for kind, longest in self._longest.items()}

    # --- what scenarios do ----------------------------------------------------------------------

    def expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.findings.faults.append(f"event {self.findings.events}: {otherwise}")

    def happened(self, between: int = BETWEEN) -> None:
        """An event is over: let the clients go on for a while."""
        self.findings.events += 1
        self.load.more(between)
        self._take_longest()

    def deploy(self, version: str = "one", broken: str = "") -> None:
        """Write the application anew."""
        path = self.directory / "served.py"
        text = (HERE / "served.py").read_text()
        path.write_text(text.replace('VERSION = "one"', f'VERSION = "{version}"') + broken)
        # Two versions within one second have one mtime; the cached bytecode must not be believed.
        self._stamp += 10
        os.utime(path, (self._stamp, self._stamp))

    def configure(self, text: str) -> None:
        self.daemon.config.write_text(text)

    def reload(self) -> str:
        """SIGHUP, and wait until it is over; why it failed, or ""."""
        status = self.daemon.reload()
        return status.partition("last reload failed: ")[2]

    def begin_reload(self) -> None:
        """SIGHUP, and wait until it is being obeyed."""
        self.daemon.notifications()
        since = len(self.daemon.messages)
        self.daemon.signal("HUP")
        self.daemon.wait_for("RELOADING=1", since)

    def settle(self) -> None:
        """Wait until no reload is under way, and none that was remembered follows."""

        def quiet() -> bool:
            self.daemon.notifications()
            phases = [
                key for m in self.daemon.messages for key in m if key in ("RELOADING", "READY")
            ]
            return phases[-1] == "READY"

        wait_until(lambda: quiet() and (time.sleep(0.05), quiet())[1])

    def serving(self) -> list[int]:
        """Pids of the newest generation's workers."""
        found = {pid: census.generation(pid) for pid in census.children(self.daemon.pid)}
        newest = max(found.values(), default=0)
        return [pid for pid, generation in found.items() if generation == newest > 0]

    def hold(self, pids: Iterable[int], *, later_only: bool = False) -> None:
        """These processes, which are stopped, will be killed: what they hold may be lost."""
        held = census.look(pids, self.port)
        self._held.append(held._replace(later_only=later_only))

    def _take_longest(self) -> None:
        for kind, longest in self.load.longest().items():
            self._longest[kind] = max(self._longest[kind], longest)
