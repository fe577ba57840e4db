"""A server's life: started on its CPUs, ready, stopped to the last process."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.cases import FILE_CONTENT
from benchmarks.command_lines import Setup
from benchmarks.measure import Tree
from benchmarks.servers import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.cases import Case
    from benchmarks.servers import Server

READY_S: Final = 20.0  # before a server that does not accept has failed
STOP_S: Final = 5.0  # before what has not ended is killed
LOOK_S: Final = 0.02  # between two looks at a foreign process, which tells nobody that it is ready

# Below the ports that the kernel gives to clients: a client that knocks at one of those before
# anybody listens may connect to itself.
PORTS: Final = range(18100, 19000)


class Failed(Exception):
    """A server that cannot be measured; the message says why, in one line."""


class Running:
    """A server that accepts connections.

    Attributes:
        port: where.
        certificate: that it shows, with TLS.
        tree: its processes.
        requests_log: where it logs requests.
    """

    def __init__(self, process: subprocess.Popen[bytes], setup: Setup, server: Server) -> None:
        self.port = setup.port
        self.certificate = setup.certificate
        self.tree = Tree(process.pid)
        self.requests_log = setup.directory / server.requests_log


@contextlib.contextmanager
def running(server: Server, case: Case, cpus: str) -> Iterator[Running]:
    """The server as the case wants it, on these CPUs (as taskset writes them).

    Raises:
        Failed: it does not come to accept connections, or the caller raised it; then with the
            status of a server that has ended.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)  # nginx reads the file as another user
        (directory / "file").write_bytes(FILE_CONTENT)
        if case.mounted:
            (directory / "static").mkdir()
            (directory / "static" / "file").write_bytes(case.answer)
        setup = Setup(
            port=free_port(),
            connections=case.connections * (1 if case.protocol == "http/1.1" else case.in_flight),
            workers=case.workers,
            access_log=case.access_log,
            protocol=case.protocol,
            tls=case.secured,
            mounted=case.mounted,
            directory=directory,
        )
        if case.secured:
            make_certificate(setup)
        output = directory / "output.log"
        command = ["taskset", "--cpu-list", cpus, *server.command(setup)]
        with output.open("wb") as log:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment(directory),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            await_ready(process, setup.port, output)
            yield Running(process, setup, server)
        except Failed as failed:
            if process.poll() is None:
                raise
            raise Failed(f"{failed}; it ended with status {process.returncode}") from failed
        finally:
            stop(process, server.stop_signal)


def make_certificate(setup: Setup) -> None:
    """ECDSA P-256, for a day; its maker is nobody but itself."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "1", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-out", setup.certificate, "-keyout", setup.key]
    try:
        subprocess.run(command, capture_output=True, text=True, check=True)
    except FileNotFoundError as error:
        raise Failed("openssl is missing: apt install openssl") from error
    except subprocess.CalledProcessError as error:
        raise Failed(f"openssl: {error.stderr.strip()}") from error


def environment(directory: Path) -> dict[str, str]:
    """No more than a server needs: a PYTHON variable of the caller's would change its figures."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "BENCH_FILE": str(directory / "file")}


def free_port() -> int:
    for port in PORTS:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise Failed(f"no port from {PORTS.start} to {PORTS.stop} is free")


def await_ready(process: subprocess.Popen[bytes], port: int, output: Path) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Failed(f"does not start: {last_line(output)}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(LOOK_S)
    raise Failed(f"does not accept connections after {READY_S:.0f} s: {last_line(output)}")


def last_line(output: Path) -> str:
    lines = output.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def stop(process: subprocess.Popen[bytes], stop_signal: signal.Signals) -> None:
    """End it as its user would; what is left of its session after a while is killed."""
    tree = Tree(process.pid)
    if process.poll() is None:
        process.send_signal(stop_signal)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S)
    deadline = time.monotonic() + STOP_S
    while pids := tree.pids():
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.poll()
        if time.monotonic() > deadline:
            raise Failed(f"processes {pids} do not end")
        time.sleep(LOOK_S)
    process.wait()
