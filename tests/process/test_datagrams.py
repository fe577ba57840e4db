"""The UDP sockets of a daemon: whose they are while workers come, go and die.

Who has which socket is read off /proc: a socket is known by its inode.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from pathlib import Path

import pytest

from tests.process.daemon import wait_until
from tests.process.h3_client import Lost
from tests.process.h3_site import Site
from tests.process.test_upgrade import upgrade


def bound(port: int) -> set[str]:
    """Inodes of the UDP sockets of a port."""
    lines = Path("/proc/net/udp").read_text().splitlines()[1:]
    return {line.split()[9] for line in lines if line.split()[1].endswith(f":{port:04X}")}


def held(pid: int, among: set[str]) -> set[str]:
    """Which of them a process has open."""
    found = set()
    with contextlib.suppress(FileNotFoundError):  # it has just ended
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                found.add(os.readlink(fd).removeprefix("socket:[").removesuffix("]"))
    return found & among


def seats(site: Site) -> dict[int, set[str]]:
    """The sockets of each worker."""
    return {pid: held(pid, bound(site.port)) for pid in site.workers()}


def taken(site: Site) -> list[str]:
    """The sockets that workers have, each by one of them."""
    return sorted(inode for inodes in seats(site).values() for inode in inodes)


@pytest.fixture(params=["forked", "of a mold"])
def site(request, tmp_path):
    more = "workers_kill_timeout = 20\n"
    if request.param == "of a mold":
        more += "preload = true\n"
    with Site(tmp_path, 2, more) as site:
        yield site


def has_settled(site: Site, workers: int = 2) -> bool:
    found = [inodes for inodes in seats(site).values() if inodes]
    return len(found) == workers


def test_seats_over_deaths_and_reloads_and_an_upgrade(site):
    group = bound(site.port)
    assert len(group) == 2
    assert held(site.pid, group) == group
    first = taken(site)
    assert len(first) == len(set(first)) == 2

    # The old generation keeps its sockets while it drains; the next one has others.
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        async with site.dial3() as client:
            upload = client.begin("/upload", "POST", last=False)
            upload.send(b"one")
            await client.ping()
            status = await loop.run_in_executor(None, site.reload)
            assert "gen 2, 2 workers" in status
            wait_until(lambda: has_settled(site, 3))
            assert len(bound(site.port)) == 4
            assert len(set(taken(site))) == 3
            assert len(set(taken(site)) & set(first)) == 1
            upload.send(b"two", last=True)
            assert (await upload.whole()).text.startswith("6 ")

    asyncio.run(scenario())
    wait_until(lambda: has_settled(site))
    group = bound(site.port)
    assert held(site.pid, group) == group

    # Who dies has a successor at the same seat, though lower ones are free.
    victim, inodes = next((pid, inodes) for pid, inodes in seats(site).items() if inodes)
    os.kill(victim, signal.SIGKILL)
    site.wait_for_log("Started worker-", 5)
    assert inodes in seats(site).values()
    assert victim not in seats(site)

    # And the next program goes on with all of them.
    assert "gen 3, 2 workers" in upgrade(site)
    wait_until(lambda: has_settled(site))
    assert bound(site.port) == group
    assert held(site.pid, group) == group
    assert taken(site) == first


def test_a_udp_port_that_somebody_has_refuses_a_reload(tmp_path):
    with Site(tmp_path) as site, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as somebody:
        somebody.bind(("127.0.0.2", 0))
        port = somebody.getsockname()[1]
        before, config = seats(site), site.config.read_text()
        listen = f'listen = ["127.0.0.1:0", "127.0.0.2:{port}"]'
        site.config.write_text(
            config.replace('host = "127.0.0.1"', listen).replace("port = 0\n", "")
        )
        status = site.reload()
        reason = f"UDP port {port} of 127.0.0.2: Address already in use"
        assert reason in site.log
        assert "reload failed" in status
        assert seats(site) == before


def test_a_daemon_that_was_killed_tells_clients_so_when_it_is_back(tmp_path):
    """By the key that the service manager has kept: without it nobody could know their ids."""
    with Site(tmp_path, 2, store_max=16) as site:
        assert "granian-d.quic" in site.stored

        async def scenario() -> None:
            async with site.dial3() as client:
                worker = int((await client.ask("/")).text.split()[1])
                os.kill(worker, signal.SIGSTOP)  # it is not to say goodbye
                site.process.kill()
                site.process.wait()
                await asyncio.get_running_loop().run_in_executor(None, site.start_again)
                with pytest.raises(Lost):  # or what it had in flight has told it before
                    await client.ask("/")
                assert client.was_reset

        asyncio.run(scenario())
