"""A real daemon for tests, with the test as its service manager.

Readiness, reloads and the end are read from the notification socket, as systemd reads them: no
test sleeps to wait for something.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PATIENCE_S = 60.0  # before a test gives up on something that should happen; never a measure of it


class Daemon:
    """One run of `granian-d`; a context manager.

    Args:
        directory: a directory of the test's own: configuration, logs, sockets, application.
        config: text of the TOML file; "{port}" and the like are the test's business.
        arguments: further arguments of the command line.
        sockets: listening sockets by FileDescriptorName, passed as systemd would.
        environ: further environment variables.
        watchdog_s: WATCHDOG_USEC in seconds.
        store_max: FileDescriptorStoreMax: so many descriptors are kept from one run to the next.
    """

    program: tuple[str, ...] = ("-m", "granian_d")  # what the interpreter is to run

    def __init__(
        self,
        directory: Path,
        config: str | None = None,
        arguments: tuple[str, ...] = (),
        sockets: dict[str, socket.socket] | None = None,
        environ: dict[str, str] | None = None,
        watchdog_s: float = 0.0,
        store_max: int = 0,
    ) -> None:
        self.store_max = store_max
        self.store: list[tuple[str, int]] = []  # name and descriptor, as systemd holds them
        self.directory = directory
        self.config = directory / "app.toml"
        if config is not None:
            self.config.write_text(config)
            arguments = ("--config", str(self.config), *arguments)
        self.arguments = arguments
        self.sockets = sockets or {}
        self.environ = environ or {}
        self.watchdog_s = watchdog_s
        self.messages: list[dict[str, str]] = []
        self._short = tempfile.mkdtemp(prefix="gd")  # sun_path is short, tmp_path is long
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(f"{self._short}/notify")
        self.log_path = directory / "stderr.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._open = contextlib.ExitStack()

    # --- life -----------------------------------------------------------------------------------

    def __enter__(self) -> Daemon:
        self.start()
        try:
            self.wait_for("READY=1")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> Daemon:
        """Start it; does not wait."""
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "NOTIFY_SOCKET": f"{self._short}/notify",
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            **self.environ,
        }
        if self.watchdog_s:
            environ["WATCHDOG_USEC"] = str(int(self.watchdog_s * 1e6))
        # As systemd: first the sockets of units, behind them what is stored.
        passed = [(name, sock.fileno()) for name, sock in self.sockets.items()] + self.store
        if passed:
            environ["LISTEN_FDS"] = str(len(passed))
            environ["LISTEN_FDNAMES"] = ":".join(name for name, _ in passed)
        command = [sys.executable, *self.program, *self.arguments]
        fds = [fd for _, fd in passed]
        shim = [sys.executable, "-c", _SHIM, ",".join(map(str, fds))]
        if not fds and not self.watchdog_s:
            shim = []  # nothing to arrange
        with self.log_path.open("ab") as log, (self.directory / "stdout.log").open("ab") as out:
            self.process = subprocess.Popen(
                [*shim, *command],
                cwd=self.directory,
                env=environ,
                pass_fds=fds,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
            )
        return self

    def close(self) -> None:
        """End it, whatever state it is in."""
        self._open.close()
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._notify.close()
        for _, fd in self.store:
            os.close(fd)
        shutil.rmtree(self._short)

    def signal(self, name: str) -> None:
        """Send a signal to the master."""
        assert self.process is not None
        self.process.send_signal(getattr(signal, f"SIG{name}"))

    def wait(self) -> int:
        """Its exit status, when it has ended."""
        assert self.process is not None
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end; its log:\n{self.log}") from None

    def stop(self) -> int:
        """Stop it gracefully; its exit status."""
        self.signal("TERM")
        return self.wait()

    # --- what it says ---------------------------------------------------------------------------

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def notifications(self) -> None:
        """Take what has arrived on the notification socket."""
        while select.select([self._notify], [], [], 0)[0]:
            data, fds, _, _ = socket.recv_fds(self._notify, 65536, 64)
            message = dict(line.split("=", 1) for line in data.decode().splitlines())
            self.messages.append(message)
            self._keep(message, fds)

    def _keep(self, message: dict[str, str], fds: list[int]) -> None:
        """What systemd does with FDSTORE and FDSTOREREMOVE (service.c: service_add_fd_store)."""
        name = message.get("FDNAME", "stored")
        assert ":" not in name
        assert name.isascii()
        assert name.isprintable()
        assert len(name) <= 255
        assert bool(fds) == ("FDSTORE" in message), "descriptors come with FDSTORE only"
        for fd in fds:
            if len(self.store) < self.store_max and not any(
                same(fd, kept) for _, kept in self.store
            ):
                self.store.append((name, fd))
            else:
                os.close(fd)
        if "FDSTOREREMOVE" in message:
            for entry in [entry for entry in self.store if entry[0] == name]:
                self.store.remove(entry)
                os.close(entry[1])

    def wait_for_store(self, *names: str) -> None:
        """Return when exactly these are stored; "@..." behind a name counts for nothing."""

        def holds() -> bool:
            self.notifications()
            return sorted(self.stored) == sorted(names)

        wait_until(holds, lambda: f"stored: {self.stored}")

    @property
    def stored(self) -> list[str]:
        return [name.partition("@")[0] for name, _ in self.store]

    def store_name(self, fd: int) -> str:
        return next(name for name, kept in self.store if kept == fd)

    def restart(self) -> None:
        """What `systemctl restart` does; waits until it serves again."""
        assert self.stop() == 0
        self.start_again()

    def start_again(self) -> None:
        """Start it after an end, with what is stored; waits until it serves."""
        self.notifications()
        since = len(self.messages)
        self.start()
        self.wait_for("READY=1", since)

    def wait_for(self, wanted: str, since: int = 0) -> dict[str, str]:
        """The first message from number `since` on that holds `wanted` ("KEY" or "KEY=value")."""
        key, _, value = wanted.partition("=")
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            self.notifications()
            for message in self.messages[since:]:
                if key in message and value in ("", message[key]):
                    return message
            select.select([self._notify], [], [], 0.2)
            if self.process is not None and self.process.poll() is not None:
                self.notifications()
                if not any(key in message for message in self.messages[since:]):
                    code = self.process.returncode
                    raise AssertionError(f"ended with {code} before {wanted}:\n{self.log}")
        raise AssertionError(f"no {wanted}; had {self.messages[since:]}; log:\n{self.log}")

    def wait_for_log(self, text: str, count: int = 1) -> None:
        """Return when the log holds `text` at least `count` times."""
        wait_until(lambda: self.log.count(text) >= count, lambda: f"no {text!r} in\n{self.log}")

    def reload(self) -> str:
        """SIGHUP, and wait until the reload is over; the STATUS it ended with."""
        self.notifications()
        since = len(self.messages)
        self.signal("HUP")
        self.wait_for("RELOADING=1", since)
        return self.wait_for("READY=1", since)["STATUS"]

    # --- what it is ------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def workers(self) -> list[int]:
        """Pids of the master's children."""
        text = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(pid) for pid in text.split()]

    @property
    def addresses(self) -> list[str]:
        """Where it says that it listens."""
        mark = "Listening at: "
        return [line.split(mark)[1] for line in self.log.splitlines() if mark in line]

    @property
    def port(self) -> int:
        """Port of its first TCP listener."""
        tcp = [address for address in self.addresses if address.startswith("http")]
        return int(tcp[0].rsplit(":", 1)[1])

    def connection(self) -> Connection:
        """A keep-alive connection to the first TCP listener, closed with the daemon."""
        return self._open.enter_context(contextlib.closing(Connection(("127.0.0.1", self.port))))

    def dial(self) -> socket.socket:
        """A bare socket connected to the first TCP listener, closed with the daemon."""
        return self._open.enter_context(socket.create_connection(("127.0.0.1", self.port), 30))

    def get(self, path: str = "/", method: str = "GET", body: bytes | None = None) -> Answer:
        """One request on a new connection to the first TCP listener."""
        return fetch(("127.0.0.1", self.port), path, method, body)


class Answer:
    """Status, fields and body of a response."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.fields = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)


class Connection(http.client.HTTPConnection):
    """A keep-alive connection to ("host", port) or to the path of a unix socket."""

    def __init__(self, address: tuple[str, int] | str) -> None:
        super().__init__("localhost", timeout=PATIENCE_S)
        self.address = address

    def connect(self) -> None:
        if isinstance(self.address, str):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(PATIENCE_S)
            path = self.address
            self.sock.connect("\0" + path[1:] if path.startswith("@") else path)
        else:
            self.sock = socket.create_connection(self.address, PATIENCE_S)

    def ask(self, path="/", method="GET", body=None, headers=None) -> Answer:
        self.request(method, path, body, headers or {})
        return Answer(self.getresponse())


def fetch(address, path="/", method="GET", body=None, headers=None) -> Answer:
    """One request on a connection of its own."""
    connection = Connection(address)
    try:
        return connection.ask(path, method, body, headers)
    finally:
        connection.close()


def wait_until(holds, otherwise=lambda: "it never came true") -> None:
    """Return when `holds()` is true; look again every few milliseconds."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(otherwise())
        time.sleep(0.01)


def same(one: int, other: int) -> bool:
    """Two descriptors of one file or socket (what kcmp(2) would say, near enough)."""
    return os.fstat(one)[:3] == os.fstat(other)[:3]


def alive(pid: int) -> bool:
    """The process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# Moves the passed sockets to 3, 4, ... and becomes the daemon, as the manager's fork would.
_SHIM = """
import fcntl, os, sys
fds = [int(fd) for fd in sys.argv[1].split(",") if fd]
high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in fds]
for fd in fds:
    os.close(fd)
for index, fd in enumerate(high):
    os.dup2(fd, 3 + index, inheritable=True)
    os.close(fd)
if fds:
    os.environ["LISTEN_PID"] = str(os.getpid())
if "WATCHDOG_USEC" in os.environ:
    os.environ["WATCHDOG_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""
