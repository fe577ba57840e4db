"""HTTP/3 on a UDP socket that systemd holds: of another user it is read by all workers, of our own
the kernel steers to one socket for each.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.process.h3_client import configuration, connect

UNIT = """
[Unit]
Description=Both sockets of %i

[Socket]
ListenStream=127.0.0.1:{port}
ListenDatagram=127.0.0.1:{port}
FileDescriptorName=https
Service={service}
"""
TLS = """
[ssl]
certificate = "/srv/app/host.crt"
keyfile = "/srv/app/host.key"
"""
CLIENTS = 8
PLACES = ("run", "var/lib", "var/cache", "var/log")


@pytest.fixture
def authority():
    return Authority()


@pytest.fixture
def secured(make, authority):
    """A service with TLS, started by its socket unit."""

    def start(drop_in: str):
        service = make(f"\n{TLS}", listen=("systemd:https,http3=true",))
        issued = authority.issue("localhost", "127.0.0.1")
        service.machine.write("/srv/app/host.crt", issued.pem.decode())
        service.machine.write("/srv/app/host.key", issued.key_pem.decode())
        service.machine.path("/srv/app/host.key").chmod(0o644)  # its user exists while it runs
        unit = f"granian-https@{service.name}.socket"
        service.socket_unit(unit, UNIT.format(port=service.port, service=service.unit))
        service.drop_in(f"[Service]\nSockets={unit}\n{drop_in}")
        service.load()
        if (
            drop_in
        ):  # its directories are of a dynamic user (granianctl doctor: leftovers), and will be
            places = [f"/{place}/granian/{service.name}" for place in PLACES]
            service.machine("rm", "-rf", *places)
            for place in places:
                service.made(place)
        service.systemctl("start", unit)
        service.systemctl("start")
        return service

    return start


def udp_sockets(port: int) -> int:
    lines = Path("/proc/net/udp").read_text().splitlines()[1:]
    return sum(line.split()[1].endswith(f":{port:04X}") for line in lines)


@pytest.mark.parametrize(
    ("drop_in", "sockets"),
    [("", (1, 1)), ("DynamicUser=no\nUser=root\n", (2, 4))],
    ids=["shared", "steered"],
)
def test_a_udp_socket_of_systemd(secured, authority, drop_in, sockets):
    service = secured(drop_in)

    async def scenario() -> tuple[set[str], set[str]]:
        ours = configuration(authority.pem)
        loop = asyncio.get_running_loop()

        async def visit(times: int) -> list[str]:
            """Who answers at one place, and when the client has moved."""
            async with connect(service.port, ours) as client:
                said = [(await client.ask("/")).text]
                for _ in range(times):
                    await client.move()
                    said.append((await client.ask("/")).text)
                return said

        async with connect(service.port, ours) as client:
            before = (await client.ask("/")).text
            visits = await asyncio.gather(*(visit(3) for _ in range(CLIENTS)))
            assert all(len(set(said)) == 1 for said in visits), "the worker that it began at"
            slow = client.begin("/slow?2")
            await client.ping()
            await loop.run_in_executor(None, service.systemctl, "reload")
            assert (await slow.whole()).text == before
        after = await asyncio.gather(*(visit(0) for _ in range(CLIENTS)))
        return {said[0] for said in visits} | {before}, {said[0] for said in after}

    assert udp_sockets(service.port) == sockets[0]
    before, after = asyncio.run(scenario())
    assert len(before) == 2
    assert not before & after
    assert udp_sockets(service.port) == sockets[1]
    assert "ListenDatagram" not in service.journal()
