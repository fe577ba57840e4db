"""An instance of granian@.service on a machine."""

from __future__ import annotations

import itertools
import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from tests.process.daemon import Answer, fetch
from tests.systemd.machine import UNITS, Failed, Machine

if TYPE_CHECKING:
    import subprocess

CONFIG = """
app = "main:app"
interface = "{interface}"
working_dir = "/srv/{name}"
listen = {listen}
workers = {workers}
{more}
"""

APPLICATION = """
import asyncio, json, os, time

VERSION = "one"


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        return await send({"type": "lifespan.shutdown.complete"})
    path, query = scope["path"], scope["query_string"]
    if path == "/slow":
        await asyncio.sleep(float(query))
    elif path == "/hang":
        time.sleep(3600)
    elif path == "/eat":
        eaten = [bytes(range(256)) * 4096 for _ in range(int(query))]
    text = json.dumps(dict(os.environ)) if path == "/environ" else f"{VERSION} {os.getpid()} "
    body = text.encode() + scope["scheme"].encode()
    head = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": body})
"""


# Two versions within one second have one mtime; the cached bytecode must not be believed.
STAMPS = itertools.count(1_700_000_000, 10)


class Service:
    """One instance: its files, its units, what they say.

    Args:
        machine: where it lives.
        name: of the instance. One that was there before starts faster: its bytecode is cached.
    """

    def __init__(self, machine: Machine, name: str) -> None:
        self.machine = machine
        self.name = name
        self.unit = f"granian@{name}.service"
        self.socket = f"granian@{name}.socket"
        self.port = free_port()
        self._since = machine("journalctl", "--lines", "0", "--show-cursor").split()[-1]
        of_it = (".toml", ".env", ".database")
        self._made = [f"/srv/{name}", *(f"/etc/granian/{name}{suffix}" for suffix in of_it)]
        self._units = [self.unit]

    # --- making it ------------------------------------------------------------------------------

    def configure(
        self,
        more: str = "",
        workers: int = 2,
        listen: tuple[str, ...] = (),
        interface: str = "asgi",
    ) -> None:
        """Its TOML file; it listens on `port` of loopback unless told otherwise."""
        where = list(listen or [f"127.0.0.1:{self.port}"])
        text = CONFIG.format(
            name=self.name, listen=where, workers=workers, more=more, interface=interface
        )
        self.machine.write(f"/etc/granian/{self.name}.toml", text)

    def deploy(self, code: str = APPLICATION, version: str = "one") -> None:
        """Its application."""
        path = f"/srv/{self.name}/main.py"
        self.machine.write(path, code.replace('VERSION = "one"', f"VERSION = {version!r}"))
        stamp = next(STAMPS)
        os.utime(self.machine.path(path), (stamp, stamp))

    def drop_in(self, text: str, name: str = "test", kind: str = "service") -> None:
        """A drop-in of this instance alone; read by systemd with the next `load`."""
        directory = f"/etc/systemd/system/granian@{self.name}.{kind}.d"
        self.machine.write(f"{directory}/{name}.conf", text)
        self._made.append(directory)

    def shipped_drop_in(self, name: str) -> None:
        """One of those that the project has."""
        self.drop_in((UNITS / "granian@.service.d" / f"{name}.conf").read_text(), name)

    def socket_unit(self, unit: str, text: str = "") -> None:
        """Another unit that belongs to it: a file of its own if there is text for one."""
        if text:
            self.machine.write(f"/etc/systemd/system/{unit}", text)
            self._made.append(f"/etc/systemd/system/{unit}")
        self._units.append(unit)

    def made(self, path: str) -> None:
        """What is to be removed with it."""
        self._made.append(path)

    def load(self) -> None:
        """Have systemd read what was written."""
        self.machine("systemctl", "daemon-reload")

    def remove(self) -> None:
        """Stop it, and leave nothing."""
        self.machine.attempt("systemctl", "stop", *reversed(self._units))
        self.machine.attempt("systemctl", "reset-failed", *self._units)
        self.machine("rm", "-rf", *self._made)
        self.load()

    # --- running it -----------------------------------------------------------------------------

    def systemctl(self, verb: str, unit: str = "") -> None:
        """`systemctl VERB` of the service, or of another unit of it; it must succeed."""
        try:
            self.machine("systemctl", verb, unit or self.unit)
        except Failed as failure:
            raise Failed(f"{failure}\n{self.journal()}") from None

    def attempt(self, verb: str) -> subprocess.CompletedProcess[str]:
        """The same, which may fail."""
        return self.machine.attempt("systemctl", verb, self.unit)

    def show(self, name: str, unit: str = "") -> str:
        """A property."""
        return self.machine("systemctl", "show", "--value", "--property", name, unit or self.unit)

    def lasted_s(self) -> float:
        """From its last start to its end, in seconds, as systemd has it."""
        began, ended = (
            int(self.show(f"ExecMain{moment}TimestampMonotonic")) for moment in ("Start", "Exit")
        )
        return (ended - began) / 1e6

    def journal(self) -> str:
        """All that was logged of it, by itself and by systemd."""
        since = f"--after-cursor={self._since}"
        return self.machine("journalctl", "--output", "cat", "--unit", self.unit, since)

    def journal_of(self, *matches: str) -> list[dict[str, str]]:
        """Entries of its last start with these fields, as the journal has them."""
        # Not --after-cursor: with matches, journalctl 252 leaves out the first entry behind it.
        start = f"_SYSTEMD_INVOCATION_ID={self.show('InvocationID')}"
        asked = ("--unit", self.unit, "--output", "json", start, *matches)
        return [json.loads(line) for line in self.machine("journalctl", *asked).splitlines()]

    @property
    def master(self) -> str:
        """Pid of the master, as the machine has it."""
        return self.show("MainPID")

    def worker_pids(self) -> list[int]:
        """Pids of its workers, as this side has them."""
        group = self.show("ControlGroup")
        members = self.machine.path(f"/sys/fs/cgroup{group}/cgroup.procs").read_text()
        pids = [int(pid) for pid in members.split()]  # the kernel translates them for the reader
        return [pid for pid in pids if _title(pid).startswith("granian-d: worker")]

    def get(self, path: str = "/", address: tuple[str, int] | str | None = None) -> Answer:
        """One request on a connection of its own; unix sockets by their path inside."""
        if isinstance(address, str):
            address = str(self.machine.path(address))
        return fetch(address or ("127.0.0.1", self.port), path)


def free_port() -> int:
    """A port of loopback that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except FileNotFoundError:
        return ""
