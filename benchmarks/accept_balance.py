"""How workers should accept from one shared listener: three ways, side by side.

    loop        the loop's own server (uvloop: libuv accepts until the queue is empty)
    shared      our Acceptor: every worker is woken, each takes a few connections a turn
    exclusive   the same, with the listener in the loop's epoll under EPOLLEXCLUSIVE

For each way, rounds in turn: kept connections are opened in bursts and counted per worker (the
imbalance is the largest share over the mean: 1.0 is even), then short connections are opened one
after another, and the CPU of all workers per connection is taken.

    python benchmarks/accept_balance.py [--workers 4] [--rounds 5]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import select
import signal
import socket
import statistics
import sys
import time
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from granian_d.transport.accept import Acceptor

WAYS = ("loop", "shared", "exclusive")
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Hello(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, _data):
        self.transport.write(ANSWER + str(os.getpid()).encode().rjust(8))


class Connections:
    """The part of transport.tcp.Connections that an Acceptor needs."""

    open: tuple[()] = ()

    def protocol(self):
        return Hello()


def epoll_of_this_process() -> int:
    for fd in os.listdir("/proc/self/fd"):
        path = f"/proc/self/fd/{fd}"
        if os.path.lexists(path) and os.readlink(path) == "anon_inode:[eventpoll]":
            return int(fd)
    raise RuntimeError("no epoll descriptor")


async def serve(way: str, listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    if way == "loop":
        await loop.create_server(Hello, sock=listener, backlog=1024)
    else:
        acceptor = Acceptor(loop, [listener], Connections(), 1 << 20, print)
        acceptor.arm()
        if way == "exclusive":
            await asyncio.sleep(0.05)  # libuv registers with the next turn; then it is replaced
            epoll = select.epoll.fromfd(os.dup(epoll_of_this_process()))
            epoll.unregister(listener.fileno())
            epoll.register(listener.fileno(), select.EPOLLIN | select.EPOLLEXCLUSIVE)
    await asyncio.Event().wait()


def start(way: str, workers: int) -> tuple[socket.socket, list[int]]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listener.setblocking(False)
    pids = []
    for _ in range(workers):
        pid = os.fork()
        if pid == 0:
            uvloop.run(serve(way, listener))
            os._exit(0)
        pids.append(pid)
    time.sleep(0.3)
    return listener, pids


def ask(sock: socket.socket) -> int:
    sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
    data = b""
    while len(data) < len(ANSWER) + 8:
        data += sock.recv(4096)
    return int(data[-8:])


def imbalance(address, workers: int, bursts: int = 20, burst: int = 20) -> float:
    """Open connections in bursts and keep them; largest share of a worker over the mean."""
    kept: list[socket.socket] = []
    counts: dict[int, int] = {}
    for _ in range(bursts):
        fresh = []
        for _ in range(burst):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(address)
            fresh.append(sock)
        for sock in fresh:
            sock.setblocking(True)
            pid = ask(sock)
            counts[pid] = counts.get(pid, 0) + 1
        kept += fresh
    for sock in kept:
        sock.close()
    return max(counts.values()) / (bursts * burst / workers)


def cpu_s(pids) -> float:
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def cost_us(address, pids, count: int = 4000) -> float:
    """CPU of all workers for each short connection, in microseconds."""
    before = cpu_s(pids)
    for _ in range(count):
        with socket.create_connection(address) as sock:
            ask(sock)
    return (cpu_s(pids) - before) / count * 1e6


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    shares = {way: [] for way in WAYS}
    costs = {way: [] for way in WAYS}
    for _ in range(options.rounds):
        for way in WAYS:
            listener, pids = start(way, options.workers)
            address = listener.getsockname()
            shares[way].append(imbalance(address, options.workers))
            costs[way].append(cost_us(address, pids))
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            listener.close()
    print(
        f"{options.workers} workers, {options.rounds} rounds, Python {sys.version.split()[0]}, "
        f"uvloop {uvloop.__version__}, {os.uname().release}, {os.cpu_count()} cores"
    )
    print(f"{'way':10} {'imbalance':>22} {'CPU us/connection':>20}")
    for way in WAYS:
        low, middle, high = min(shares[way]), statistics.median(shares[way]), max(shares[way])
        cost = statistics.median(costs[way])
        print(f"{way:10} {middle:8.2f} ({low:.2f}-{high:.2f}) {cost:15.0f}")


if __name__ == "__main__":
    main()
