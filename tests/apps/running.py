"""Sites that are being served: by a daemon of their own, or by one that is started on demand."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.process.daemon import _SHIM, PATIENCE_S, Answer, Connection, Daemon, fetch, wait_until

if TYPE_CHECKING:
    import socket

    from tests.apps.frameworks import Framework

SITES = Path(__file__).parent / "sites"
ACTIVATE = "systemd-socket-activate"
HOST = "site.test"


def need_activate() -> None:
    """Skip where the tool is missing; continuous integration has to have it."""
    if shutil.which(ACTIVATE):
        return
    reason = f"{ACTIVATE} is missing: apt install systemd"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


class Activated(Daemon):
    """A daemon that `systemd-socket-activate` becomes when the first connection comes.

    Args:
        tool: further arguments of the tool, such as --listen and --fdname.
    """

    def __init__(self, *args, tool: tuple[str, ...] = (), **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.tool = tool

    def start(self) -> Activated:
        """Start the tool, with the sockets of `self.sockets` to pass on."""
        # It gives its child an environment of its own making.
        passed = {
            "NOTIFY_SOCKET": f"{self._short}/notify",
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            **self.environ,
        }
        environ = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
        if self.sockets:
            environ["LISTEN_FDS"] = str(len(self.sockets))
        command = [str(shutil.which(ACTIVATE)), *self.tool]
        command += [f"--setenv={name}={value}" for name, value in passed.items()]
        command += [sys.executable, "-m", "granian_d", *self.arguments]
        fds = [sock.fileno() for sock in self.sockets.values()]
        shim = [sys.executable, "-c", _SHIM, ",".join(map(str, fds))]
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


def first_answer(daemon: Daemon, address, path: str) -> Answer:
    """The answer to the connection that starts the daemon; it is not lost, nor refused."""
    daemon.wait_for_log("Listening on ")  # the tool's word, once it waits for a connection
    try:
        answer = fetch(address, path)
    except OSError as error:
        raise AssertionError(f"{error!r}; the log:\n{daemon.log}") from error
    daemon.wait_for("READY=1")
    return answer


def site_daemon(framework: Framework, folder: Path, *arguments: str, **more) -> Daemon:
    """A daemon (not started) for one of the sites, which shares `folder` with the test."""
    return Daemon(folder, arguments=_arguments(framework, *arguments), **_surround(folder, more))


def activated_daemon(framework: Framework, folder: Path, *arguments: str, **more) -> Activated:
    """The same, started on demand."""
    more = _surround(folder, more)
    return Activated(folder, arguments=_arguments(framework, *arguments), **more)


def _arguments(framework: Framework, *arguments: str) -> tuple[str, ...]:
    served = (framework.target, "--interface", framework.interface)
    return (*served, "--working-dir", str(SITES), *arguments)


def _surround(folder: Path, more: dict) -> dict:
    return {**more, "environ": {"SITE_DIR": str(folder), **more.get("environ", {})}}


class Client(Connection):
    """The standard library's client, for what httpx is too polite for; a context manager."""

    def __init__(self, address) -> None:
        super().__init__(address)
        self.host = HOST

    def __enter__(self) -> Client:
        self.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def answer(self) -> Answer:
        """The answer to what was sent piece by piece."""
        return Answer(self.getresponse())


class Site:
    """One site through one door, as a test sees it.

    Attributes:
        address: ("host", port), or the path of a unix socket.
        client: keeps its connections; its base URL is the site's. With `h2` it speaks HTTP/2.
        folder: shared with the application (sites/notebook.py).
    """

    def __init__(
        self, framework: Framework, daemon: Daemon, address, prefix: str = "", *, h2: bool = False
    ) -> None:
        self.framework = framework
        self.daemon = daemon
        self.address = address
        self.folder = daemon.directory
        uds = address if isinstance(address, str) else None
        host = HOST if uds else f"{address[0]}:{address[1]}"
        self.client = httpx.Client(
            base_url=f"http://{host}{prefix}",
            transport=httpx.HTTPTransport(uds=uds, verify=False, http1=not h2, http2=h2),
            headers={"host": HOST},
            timeout=PATIENCE_S,
        )

    def close(self) -> None:
        """Close its connections."""
        self.client.close()

    def connect(self) -> Client:
        """A connection of its own, to be used as a context manager."""
        return Client(self.address)

    def raw(self) -> socket.socket:
        """A connection for bytes of the test's own."""
        return self.connect().__enter__().sock

    def be_busy(self) -> None:
        """Make a few requests, on connections of their own; have garbage collected.

        A site whose framework leaves cycles behind has /collect: how soon the collector comes by
        itself depends on how much garbage everybody else makes, and the daemon makes none.
        """
        for _ in range(10):
            with self.connect() as connection:
                assert connection.ask("/json").status == 200
                assert connection.ask("/collect").status in (200, 404)

    # --- what the application shares with the test (sites/notebook.py) ---------------------------

    def notes(self) -> list[tuple[int, str]]:
        """(pid, text) of each note, in order."""
        path = self.folder / "notes"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(int(pid), text) for pid, _, text in (line.partition(" ") for line in lines)]

    def wait_for_note(self, wanted: str, meanwhile=lambda: None) -> int:
        """Return when the application has written that note; the process that did.

        Args:
            wanted: the note.
            meanwhile: is called before each look.
        """

        def found() -> list[int]:
            meanwhile()
            return [pid for pid, text in self.notes() if text == wanted]

        wait_until(found, lambda: f"no note {wanted!r} in {self.notes()}; log:\n{self.daemon.log}")
        return found()[0]

    def open_gate(self, name: str) -> None:
        """Let the application go on that waits there."""
        (self.folder / name).touch()

    def put_file(self, name: str, size: int) -> bytes:
        """Make a file that the site's /file serves; its content."""
        data = os.urandom(size)
        (self.folder / name).write_bytes(data)
        return data
