"""HTTP/3 while workers come, go and die: no connection is in the way of a reload, none is lost by it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

import pytest

from tests.process.daemon import alive, wait_until
from tests.process.h3_client import Lost
from tests.process.h3_load import H3Load
from tests.process.h3_site import Site
from tests.process.test_upgrade import upgrade

RELOADS = 4
# Room for several generations that drain, and less time for conversations than their clients have.
PATIENT = """
workers_kill_timeout = 20
workers_stream_timeout = 3
max_generations = 8
"""


@pytest.fixture
def serve3(tmp_path):
    sites = []

    def start(workers=1, more="", **options) -> Site:
        site = Site(tmp_path, workers, PATIENT + more, **options)
        sites.append(site)
        return site.__enter__()

    yield start
    for site in sites:
        site.close()


def load(site, **how) -> H3Load:
    return H3Load(site.port, site.authority.pem, **how)


def nothing_lost(result) -> None:
    assert result["lost"] == []
    assert result["held"] == []
    assert {"steady", "upload", "long", "talk"} <= result["kinds"].keys()


@pytest.mark.parametrize("workers", [1, 4])
def test_reloads_lose_nothing(serve3, workers):
    site = serve3(workers)
    with load(site) as clients:
        clients.more(50)
        for number in range(RELOADS):
            assert f"gen {number + 2}, {workers} worker" in site.reload()
            clients.more(30)
    nothing_lost(clients.result)
    assert clients.result["ends"]["goaway"] >= RELOADS
    assert clients.result["moves"] > 0


def test_an_upgrade_in_place_loses_nothing(serve3):
    site = serve3(2)
    with load(site) as clients:
        clients.more(50)
        assert "gen 2, 2 workers" in upgrade(site)
        clients.more(50)
    nothing_lost(clients.result)


def test_more_and_fewer_workers_lose_nothing(serve3):
    site = serve3(1)
    with load(site) as clients:
        clients.more(30)
        for number in (2, 3):
            site.signal("TTIN")
            site.wait_for_log(f"Started worker-{number}")
            clients.more(50)
        for number in (2, 1):
            site.signal("TTOU")
            wait_until(lambda number=number: len(site.workers()) == number)
            clients.more(30)
    nothing_lost(clients.result)


def test_recycling_loses_nothing(serve3):
    site = serve3(2, "workers_max_requests = 60\nsurge = 4\n")
    with load(site) as clients:
        site.wait_for_log("Respawning worker-", RELOADS)
        site.wait_for_log("Stopped worker-", RELOADS - 1)
        clients.more(30)
    nothing_lost(clients.result)
    assert "Unexpected exit" not in site.log


def test_who_dies_takes_along_what_it_held_and_nothing_else(serve3):
    site = serve3(4)
    with load(site) as clients:
        for number in range(2):
            clients.more(50)
            victim = site.workers()[0]
            clients.doom(victim)
            os.kill(victim, signal.SIGKILL)
            site.wait_for_log("Started worker-", 5 + number)
        clients.more(100)
    assert clients.result["lost"] == []


# --- what one client sees ---------------------------------------------------------------------------


def test_a_client_of_a_dead_worker_learns_of_it_at_once(serve3):
    """By a stateless reset of the successor, and not when it has waited in vain."""
    site = serve3(1)

    async def scenario():
        loop = asyncio.get_running_loop()
        async with site.dial3() as client:
            pid = int((await client.ask("/")).text.split()[1])
            os.kill(pid, signal.SIGKILL)
            await loop.run_in_executor(None, site.wait_for_log, "Started worker-1", 2)
            # What it sends may be this request, or an ACK of its own that was answered before.
            with pytest.raises(Lost, match="stateless reset"):
                await client.ask("/")
        async with site.dial3() as client:
            return pid, int((await client.ask("/")).text.split()[1])

    before, after = asyncio.run(scenario())
    assert before != after


def test_a_reload_ends_what_it_has_let_finish(serve3):
    """A request under way is answered by the old worker, an idle connection is told to go."""
    site = serve3(1)

    async def scenario():
        loop = asyncio.get_running_loop()
        async with site.dial3() as idle, site.dial3() as busy:
            old = int((await idle.ask("/")).text.split()[1])
            slow = busy.begin("/wait")
            await busy.ping()
            status = await loop.run_in_executor(None, site.reload)
            await idle.over.wait()
            # What comes to the connection before its end is refused, or never begun.
            while not busy.goaways or busy.goaways[-1] > 1000:
                await busy.ping()
            assert busy.goaways[-1] > slow.number
            await busy.move()
            await busy.ping()
            assert alive(old)
            async with site.dial3() as fresh:
                new = int((await fresh.ask("/")).text.split()[1])
            return old, new, status, idle

    old, new, status, idle = asyncio.run(scenario())
    assert "gen 2" in status
    assert old != new
    assert idle.goaways
    assert idle.ended.error_code == 0x100  # H3_NO_ERROR


def test_a_restart_takes_connections_along_and_keeps_the_port(serve3):
    """What is asked while nobody reads waits in the sockets, which the service manager keeps."""
    site = serve3(2, store_max=16)
    port = site.port

    async def scenario():
        loop = asyncio.get_running_loop()
        async with site.dial3() as client:
            assert (await client.ask("/")).status == 200
            await loop.run_in_executor(None, site.restart)
            async with asyncio.timeout(20):
                while not client.over.is_set():
                    await asyncio.sleep(0.01)
        async with site.dial3() as client:
            return client, (await client.ask("/")).status

    assert asyncio.run(scenario())[1] == 200
    assert site.port == port


# --- what cannot be ---------------------------------------------------------------------------------


def test_without_its_library_it_is_refused_with_a_line_that_says_how(tmp_path):
    """aioquic is optional: here it is hidden from the interpreter, as if it were not installed."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "from importlib.machinery import PathFinder\n"
        "find = PathFinder.find_spec\n"
        "def find_others(name, path=None, target=None):\n"
        "    return None if name == 'aioquic' else find(name, path, target)\n"
        "PathFinder.find_spec = find_others\n"
    )
    with contextlib.closing(Site(tmp_path, environ={"PYTHONPATH": str(hidden)})) as site:
        assert site.start().wait() == 78
        (line,) = [line for line in site.log.splitlines() if "Could not start" in line]
    assert "granian-d[http3]" in line
