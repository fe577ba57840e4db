"""How a connection ends: finished and lingering, given up, or cut."""

from __future__ import annotations

import contextlib
import socket

import pytest

from granian_d.engine.contract import Leave
from granian_d.transport.deadlines import TICK_S
from granian_d.transport.tcp import LINGER_S
from tests.unit.transport.bench import BLOCK, MUCH, fill


def answer(endpoint, data: bytes, *, on: str = "data"):
    """Have the endpoint answer what it is fed with `data`, and finish."""

    def react() -> None:
        del endpoint.reactions[on]
        endpoint.wire.write(data)
        endpoint.wire.finish()

    endpoint.reactions[on] = react


class TestFinishing:
    def test_a_half_closed_peer_gets_its_whole_answer(self, bench):
        async def scenario():
            client, endpoint = await bench.connect()
            answer(endpoint, MUCH, on="eof")
            await bench.send(client, b"request")
            client.shutdown(socket.SHUT_WR)
            assert await bench.receive_all(client) == MUCH
            await endpoint.until("lost")
            assert endpoint.kinds == ["data", "eof", "lost"]

        bench.run(scenario())

    def test_a_peer_that_goes_on_sending_gets_its_whole_answer(self, bench):
        """The lingering close, RFC 9112 9.6: a RST would take the answer away."""

        async def scenario():
            client, endpoint = await bench.connect()
            answer(endpoint, MUCH)
            await bench.send(client, b"request")
            await endpoint.until("data")
            for _ in range(8):
                await bench.send(client, MUCH)
            assert await bench.receive_all(client) == MUCH
            await bench.send(client, MUCH)
            client.close()
            await endpoint.until("lost")
            assert endpoint.data == b"request", "what comes after the answer is dropped"
            assert endpoint.kinds == ["data", "lost"]

        bench.run(scenario())

    def test_a_paused_connection_lingers_too(self, bench):
        async def scenario():
            client, endpoint = await bench.connect()
            endpoint.wire.pause()
            endpoint.wire.write(b"enough")
            endpoint.wire.finish()
            await bench.send(client, MUCH * 16)  # nothing holds that unless it is read
            assert await bench.receive_all(client) == b"enough"
            client.close()
            await endpoint.until("lost")
            assert endpoint.kinds == ["lost"]

        bench.run(scenario())

    def test_a_paused_connection_is_read_on_while_its_answer_waits(self, bench, tmp_path):
        """The peer sends all it has before it reads; we would wait for each other.

        Over a unix socket, where no probe of TCP's makes up for a wake-up that was lost.
        """

        async def scenario():
            client, endpoint = await bench.connect(f"{tmp_path}/s")
            written = fill(endpoint)
            endpoint.wire.pause()
            with contextlib.suppress(BlockingIOError):
                while client.send(BLOCK):  # until no more arrives
                    await bench.settle()
            endpoint.wire.finish()
            await bench.send(client, MUCH * 16)
            assert len(await bench.receive_all(client)) == written

        bench.run(scenario())

    @pytest.mark.parametrize("transport", ["direct"], indirect=True)
    def test_a_pause_after_it_changes_nothing(self, bench):
        async def scenario():
            client, endpoint = await bench.connect()
            fill(endpoint)
            endpoint.wire.finish()
            endpoint.wire.pause()
            await bench.send(client, MUCH * 16)

        bench.run(scenario())

    def test_a_silent_peer_is_waited_for_a_moment(self, bench):
        async def scenario():
            client, endpoint = await bench.connect()
            endpoint.wire.write(b"answer")
            await bench.settle()
            endpoint.wire.finish()
            bench.pass_time(LINGER_S - 0.5)
            await bench.settle()
            assert endpoint.kinds == []
            bench.pass_time(1.5)
            await endpoint.until("lost")
            assert await bench.receive_all(client) == b"answer"

        bench.run(scenario())

    def test_a_peer_that_never_stops_is_not_listened_to_for_longer(self, bench):
        async def scenario():
            client, endpoint = await bench.connect()
            endpoint.wire.finish()
            for _ in range(int((LINGER_S + 1.5) / TICK_S)):
                with contextlib.suppress(ConnectionError):
                    await bench.send(client, b"more")
                await bench.settle()
                bench.pass_time(TICK_S)
            await endpoint.until("lost")
            assert endpoint.kinds == ["lost"]

        bench.run(scenario())

    def test_finishing_twice_is_finishing_once(self, bench):
        async def scenario():
            client, endpoint = await bench.connect()
            endpoint.wire.finish()
            endpoint.wire.finish()
            assert await bench.receive_all(client) == b""
            client.close()
            await endpoint.until("lost")
            assert endpoint.kinds == ["lost"]

        bench.run(scenario())

    def test_the_endpoint_is_asked_nothing_any_more(self, bench):
        async def scenario():
            _, endpoint = await bench.connect()
            endpoint.wire.finish()
            bench.connections.drain(Leave(1.0))
            bench.pass_time(LINGER_S + 1.5)
            await endpoint.until("lost")
            assert endpoint.kinds == ["lost"]

        bench.run(scenario())


class TestAFinishedConnectionThatIsNotRead:
    """Time is passed by hand, so that no test waits for it."""

    def test_is_given_up_when_nothing_moves_in_the_write_timeout(self, bench):
        async def scenario():
            bench.limit(write_timeout_s=7.0)
            _, endpoint = await bench.connect()
            fill(endpoint)
            endpoint.wire.finish()
            await bench.settle()
            bench.pass_time(6.0)
            assert len(bench.connections.open) == 1
            bench.pass_time(4.0)
            await endpoint.until("lost")

        bench.run(scenario())

    def test_is_given_time_as_long_as_it_moves(self, bench):
        async def scenario():
            bench.limit(write_timeout_s=7.0)
            client, endpoint = await bench.connect()
            written = fill(endpoint)
            endpoint.wire.finish()
            read = 0
            for _ in range(3):
                before = endpoint.wire.queued_bytes()
                while endpoint.wire.queued_bytes() == before:
                    read += len(await bench.receive(client, 4096))
                bench.pass_time(6.0)
            assert endpoint.wire.queued_bytes()
            assert len(await bench.receive_all(client)) == written - read

        bench.run(scenario())

    def test_what_the_kernel_still_holds_is_waited_for_too(self, bench):
        """Its buffer takes a whole answer at once, long before a slow peer has read it."""

        async def scenario():
            bench.limit(write_timeout_s=7.0)
            client, endpoint = await bench.connect(send_buffer=8 * len(BLOCK))
            endpoint.wire.write(BLOCK * 4)
            await bench.settle()
            assert endpoint.wire.queued_bytes() == 0
            endpoint.wire.finish()
            read = 0
            for _ in range(3):
                bench.pass_time(6.0)
                assert endpoint.kinds == []
                read += len(await bench.receive(client, len(BLOCK) // 2))
                await bench.settle()
            assert len(await bench.receive_all(client)) == 4 * len(BLOCK) - read
            bench.pass_time(LINGER_S + 1.5)
            await endpoint.until("lost")

        bench.run(scenario())

    def test_what_the_kernel_still_holds_is_given_up_when_nothing_moves(self, bench):
        async def scenario():
            bench.limit(write_timeout_s=7.0)
            client, endpoint = await bench.connect(send_buffer=8 * len(BLOCK))
            endpoint.wire.write(BLOCK * 4)
            await bench.settle()
            endpoint.wire.finish()
            bench.pass_time(6.0)
            assert endpoint.kinds == []
            bench.pass_time(4.0)
            await endpoint.until("lost")
            with pytest.raises(ConnectionResetError):
                await bench.receive_all(client)

        bench.run(scenario())

    @pytest.mark.parametrize("read_after_s", [0.0, 6.5])
    def test_lingers_once_its_queue_is_empty(self, bench, read_after_s):
        """What is in the kernel's buffers by then would be lost with a RST."""

        async def scenario():
            bench.limit(write_timeout_s=7.0)
            client, endpoint = await bench.connect()
            written = fill(endpoint)
            endpoint.wire.finish()
            await bench.settle()
            bench.pass_time(read_after_s)
            assert len(await bench.receive_all(client)) == written
            assert endpoint.wire.queued_bytes() == 0
            bench.pass_time(LINGER_S - 0.5)
            await bench.settle()
            assert endpoint.kinds == []
            bench.pass_time(2.5)
            await endpoint.until("lost")

        bench.run(scenario())

    def test_is_never_given_up_when_there_is_no_write_timeout(self, bench):
        """Zero switches the limit off (plan.Limits)."""

        async def scenario():
            bench.limit(write_timeout_s=0.0)
            client, endpoint = await bench.connect()
            written = fill(endpoint)
            endpoint.wire.finish()
            await bench.settle()
            bench.pass_time(1000.0)
            assert len(await bench.receive_all(client)) == written

        bench.run(scenario())

    @pytest.mark.parametrize("transport", ["direct"], indirect=True)
    @pytest.mark.parametrize("reads", [True, False])
    def test_is_given_up_not_a_tick_too_early_nor_too_late(self, bench, reads):
        async def scenario():
            bench.limit(write_timeout_s=7.0)
            client, endpoint = await bench.connect()
            written = fill(endpoint)
            endpoint.wire.finish()
            if reads:
                await bench.receive(client, written)
            await bench.settle()
            bench.pass_time(LINGER_S if reads else 7.0)  # its first tick had begun before
            await bench.settle()
            assert endpoint.fed == []
            bench.pass_time(TICK_S * (2 if reads else 1))  # that all is sent a tick may have to see
            await endpoint.until("lost")

        bench.run(scenario())

    @pytest.mark.parametrize("closes", ["before", "meanwhile"])
    def test_is_given_up_also_when_its_peer_has_closed_its_side(self, bench, closes):
        async def scenario():
            bench.limit(write_timeout_s=7.0)
            client, endpoint = await bench.connect()
            if closes == "before":
                client.shutdown(socket.SHUT_WR)
                await endpoint.until("eof")
            fill(endpoint)
            endpoint.wire.finish()
            if closes == "meanwhile":
                client.shutdown(socket.SHUT_WR)
            await bench.settle()
            bench.pass_time(6.0)
            assert len(bench.connections.open) == 1
            bench.pass_time(4.0)
            await endpoint.until("lost")

        bench.run(scenario())


class TestAborting:
    def test_the_peer_cannot_take_it_for_the_end(self, bench):
        """A response that ends with the connection (RFC 9112 6.3) must not look complete."""

        async def scenario():
            client, endpoint = await bench.connect()
            endpoint.wire.write(b"half an ans")
            await bench.settle()
            endpoint.wire.abort()
            with pytest.raises(ConnectionResetError):
                await bench.receive_all(client)
            await endpoint.until("lost")
            assert endpoint.kinds == ["lost"]

        bench.run(scenario())

    def test_the_queue_is_dropped(self, bench):
        async def scenario():
            client, endpoint = await bench.connect()
            written = fill(endpoint)
            endpoint.wire.abort()
            await endpoint.until("lost")
            received = 0
            with contextlib.suppress(ConnectionResetError):
                received = len(await bench.receive_all(client))
            assert received < written
            assert endpoint.kinds == ["lost"]

        bench.run(scenario())

    def test_a_finishing_connection_can_be_cut(self, bench):
        async def scenario():
            _, endpoint = await bench.connect()
            fill(endpoint)
            endpoint.wire.finish()
            endpoint.wire.abort()
            await endpoint.until("lost")

        bench.run(scenario())
