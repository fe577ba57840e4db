"""One connection, as its endpoint and its peer see it."""

from __future__ import annotations

import contextlib
import random
import socket

import pytest

from granian_d.engine.contract import NEVER, Leave
from granian_d.transport.deadlines import TICK_S
from granian_d.transport.tcp import HIGH_WATER_BYTES, tune
from tests.unit.transport.bench import BLOCK, fill
from tests.unit.transport.house import reset


class TestFeeding:
    def test_data_then_end_then_loss(self, bench):
        async def scenario():
            client, endpoint = await bench.connect()
            await bench.send(client, b"GET ")
            await endpoint.until("data")
            await bench.send(client, b"/")
            client.shutdown(socket.SHUT_WR)
            await endpoint.until("eof")
            endpoint.wire.finish()
            await endpoint.until("lost")
            await bench.settle()
            assert endpoint.data == b"GET /"
            assert endpoint.kinds == ["data", "eof", "lost"]

        bench.run(scenario())

    def test_a_reset_is_a_loss_and_no_end(self, bench):
        async def scenario():
            client, endpoint = await bench.connect()
            reset(client)
            await endpoint.until("lost")
            await bench.settle()
            assert endpoint.kinds == ["lost"]

        bench.run(scenario())

    def test_a_paused_connection_feeds_nothing(self, bench):
        async def scenario():
            client, endpoint = await bench.connect()
            endpoint.wire.pause()
            endpoint.wire.pause()
            await bench.send(client, b"held ")
            await bench.settle()
            assert endpoint.fed == []
            endpoint.wire.resume()
            endpoint.wire.resume()
            assert endpoint.fed == [], "never from within the call"
            await bench.send(client, b"back")
            await endpoint.until_received(9)
            assert endpoint.data == b"held back"

        bench.run(scenario())

    def test_data_and_the_end_that_came_in_a_pause_are_both_fed(self, bench):
        async def scenario():
            client, endpoint = await bench.connect()
            endpoint.wire.pause()
            await bench.send(client, b"all")
            client.shutdown(socket.SHUT_WR)
            await bench.settle()
            assert endpoint.fed == []
            endpoint.wire.resume()
            await endpoint.until("eof")
            assert endpoint.fed == [("data", b"all"), ("eof",)]

        bench.run(scenario())

    @pytest.mark.parametrize("kind", ["tcp", "unix"])
    @pytest.mark.parametrize("seed", range(5))
    def test_no_pause_loses_anything(self, bench, tmp_path, seed, kind):
        dice = random.Random(seed)
        stream = dice.randbytes(1 << 20)

        async def scenario():
            address = ("127.0.0.1", 0) if kind == "tcp" else f"{tmp_path}/s"
            client, endpoint = await bench.connect(address)

            def hesitate() -> None:
                dice.choice([endpoint.wire.pause, endpoint.wire.resume])()

            endpoint.reactions["data"] = hesitate
            sent = 0
            while sent < len(stream):
                with contextlib.suppress(BlockingIOError):
                    size = dice.choice([1, 1000, 65536, 200_000])
                    sent += client.send(stream[sent : sent + size])
                hesitate()
                if dice.random() < 0.3:
                    await bench.settle()
            client.shutdown(socket.SHUT_WR)
            endpoint.reactions.clear()
            endpoint.wire.resume()
            await endpoint.until("eof")
            assert endpoint.data == stream
            assert endpoint.kinds == ["data", "eof"]

        bench.run(scenario())

    def test_the_end_is_fed_once_whatever_is_paused_after_it(self, bench):
        async def scenario():
            client, endpoint = await bench.connect()
            client.shutdown(socket.SHUT_WR)
            await endpoint.until("eof")
            endpoint.wire.pause()
            endpoint.wire.resume()
            await bench.settle()
            assert endpoint.kinds == ["eof"]

        bench.run(scenario())

    def test_the_deadline_is_the_endpoints(self, bench):
        async def scenario():
            _, endpoint = await bench.connect()
            bench.pass_time(3600.0)
            assert endpoint.fed == []
            endpoint.deadline = endpoint.clock.now + 5.0
            endpoint.reactions["expire"] = lambda: setattr(endpoint, "deadline", NEVER)
            bench.pass_time(5.0)  # the first tick of these had begun before
            assert endpoint.fed == []
            bench.pass_time(TICK_S)
            assert endpoint.kinds == ["expire"]
            bench.pass_time(100.0)
            assert endpoint.kinds == ["expire"]

        bench.run(scenario())

    @pytest.mark.parametrize("transport", ["direct"], indirect=True)
    def test_a_half_closed_peer_that_is_lost_is_noticed(self, bench):
        """Whoever works on its answer can stop; the loops' transports tell nobody of that."""

        async def scenario():
            client, endpoint = await bench.connect()
            client.shutdown(socket.SHUT_WR)
            await endpoint.until("eof")
            reset(client)
            await endpoint.until("lost")
            assert endpoint.kinds == ["eof", "lost"]

        bench.run(scenario())

    def test_a_lost_wire_takes_orders_without_complaint(self, bench):
        """The application may answer before it has learned that its peer is gone."""

        async def scenario():
            client, endpoint = await bench.connect()
            reset(client)
            await endpoint.until("lost")
            wire = endpoint.wire
            for order in (wire.pause, wire.resume, wire.finish, wire.abort, wire.queued_bytes):
                order()
            await bench.settle()
            assert endpoint.kinds == ["lost"]

        bench.run(scenario())


class TestBackPressure:
    def test_a_peer_that_does_not_read_fills_the_queue_to_the_mark(self, bench):
        async def scenario():
            client, endpoint = await bench.connect()
            written = fill(endpoint)
            assert endpoint.wire.queued_bytes() >= HIGH_WATER_BYTES
            assert written < HIGH_WATER_BYTES + 8 * len(BLOCK)
            await bench.settle()
            assert endpoint.kinds == [], "no room before it reads"
            assert await bench.receive(client, written) == b"x" * written
            await endpoint.until("room")
            assert endpoint.wire.write(b"more")
            assert await bench.receive(client, 4) == b"more"
            assert endpoint.kinds == ["room"]
            assert endpoint.wire.queued_bytes() == 0

        bench.run(scenario())

    def test_a_peer_that_reads_needs_no_room(self, bench):
        async def scenario():
            client, endpoint = await bench.connect()
            for _ in range(20):
                assert endpoint.wire.write(b"x" * 1000)
                await bench.receive(client, 1000)
            assert endpoint.kinds == []

        bench.run(scenario())

    def test_a_finished_endpoint_is_told_of_no_room(self, bench):
        async def scenario():
            client, endpoint = await bench.connect()
            written = fill(endpoint)
            endpoint.wire.finish()
            assert len(await bench.receive_all(client)) == written
            client.close()
            await endpoint.until("lost")
            assert endpoint.kinds == ["lost"]

        bench.run(scenario())


class TestConnections:
    def test_are_counted(self, bench):
        async def scenario():
            one, first = await bench.connect()
            two, second = await bench.connect()
            assert len(bench.connections.open) == 2
            one.close()
            await first.until("eof")
            first.wire.finish()
            await first.until("lost")
            reset(two)
            await second.until("lost")
            assert bench.counts == [1, 2, 1, 0]
            assert not bench.connections.open
            bench.pass_time(TICK_S)
            assert not bench.ticks_on, "time stands still while nobody is there"

        bench.run(scenario())

    def test_a_drain_reaches_those_that_are_open_and_those_that_come_late(self, bench):
        """The sweep of the accept queue brings some in after the order."""

        async def scenario():
            _, early = await bench.connect()
            bench.connections.drain(Leave(3.0))
            _, late = await bench.connect()
            assert [early.fed, late.fed] == [[("drain", 3.0)]] * 2

        bench.run(scenario())

    def test_a_drain_does_not_reach_those_that_are_finished(self, bench):
        async def scenario():
            _, endpoint = await bench.connect()
            endpoint.wire.finish()
            bench.connections.drain(Leave(3.0))
            assert endpoint.fed == []

        bench.run(scenario())

    def test_a_drain_may_finish_them_at_once(self, bench):
        async def scenario():
            client, endpoint = await bench.connect()
            endpoint.reactions["drain"] = endpoint.wire.finish
            bench.connections.drain(Leave(0.0))
            assert await bench.receive_all(client) == b""
            client.close()
            await endpoint.until("lost")
            assert bench.counts == [1, 0]

        bench.run(scenario())


class TestPeer:
    @pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
    def test_of_tcp(self, bench, host):
        async def scenario():
            client, endpoint = await bench.connect((host, 0))
            assert endpoint.peer.client == client.getsockname()[:2]
            assert endpoint.peer.server == client.getpeername()[:2]
            assert endpoint.peer.scheme == "http"

        bench.run(scenario())

    @pytest.mark.parametrize("suffix", ["", "~"])
    def test_of_a_unix_socket(self, bench, tmp_path, suffix):
        """The kernel knows the name that was bound; the master has renamed it since."""

        async def scenario():
            _, endpoint = await bench.connect(f"{tmp_path}/s{suffix}")
            assert endpoint.peer.client is None
            assert endpoint.peer.server == (f"{tmp_path}/s", None)

        bench.run(scenario())

    def test_of_an_abstract_socket(self, bench):
        async def scenario():
            _, endpoint = await bench.connect("\0granian-d-test")
            assert endpoint.peer.server == ("@granian-d-test", None)

        bench.run(scenario())


def test_small_answers_do_not_wait_for_an_acknowledgement():
    with socket.socket() as sock:
        tune(sock)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    with socket.socket(socket.AF_UNIX) as sock:
        tune(sock)
