"""Connections and the timer together: nothing here is called by the test but by the loop."""

from __future__ import annotations

import pytest

ANSWER = b"answer" * 1000


def answer_and_finish(endpoint, data):
    endpoint.wire.write(ANSWER)
    endpoint.wire.finish()


def test_deadlines_reach_the_endpoint(run):
    async def story(house):
        _, endpoint = await house.meet()
        endpoint.deadline = endpoint.clock.now
        await house.until(lambda: endpoint.was_fed("expire"))

    run(story)


def test_after_the_linger_a_peer_that_does_not_close_is_let_go(run):
    async def story(house):
        client, endpoint = await house.meet()
        await house.loop.sock_sendall(client, b"x")
        assert await house.read_all(client) == ANSWER
        await house.until(lambda: not house.connections.open)
        assert endpoint.fed[-1] == ("lost",)

    run(story, on_data=answer_and_finish)


def test_a_finished_answer_that_nobody_reads_is_given_up(run):
    async def story(house):
        client, endpoint = await house.meet(small_buffer=True)
        while endpoint.wire.write(b"p" * 65536):
            pass
        endpoint.wire.finish()
        await house.until(lambda: endpoint.was_fed("lost"))
        with pytest.raises(ConnectionResetError):
            await house.read_all(client)

    run(story, write_timeout_s=0.05)
