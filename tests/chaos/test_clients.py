"""The clients notice what is wrong, each kind of it."""

from __future__ import annotations

import os
import signal

import pytest

from tests.chaos import census
from tests.chaos.stage import Stage

WRONG = {
    "another's answer": (
        """
async def echo(number, receive, send):
    await head(send, b'%d one\\n' % number + small(number + 1))
""",
        {"kept", "new", "h2"},
        "answered|wrong body",
    ),
    "a failure now and then": (
        """
right = echo
async def echo(number, receive, send):
    if number % 10 == 0: raise RuntimeError(number)
    await right(number, receive, send)
""",
        {"kept", "new", "h2"},
        "answered",
    ),
    "an answer that is cut short": (
        """
async def echo(number, receive, send):
    await begin(send, 1000)
    await send({'type': 'http.response.body', 'body': b'x' * 10, 'more_body': True})
    raise RuntimeError(number)
""",
        {"kept", "new", "h2"},
        "missing|reset|no answer",
    ),
    "an octet of an upload": (
        """
right = upload
async def upload(number, receive, send):
    async def other():
        message = await receive()
        message['body'] = bytes(len(message['body']))
        return message
    await right(number, other, send)
""",
        {"upload"},
        "wrong body",
    ),
    "a large body": (
        """
async def large(number, receive, send):
    await begin(send, LARGE_BYTES)
    await send({'type': 'http.response.body', 'body': bytes(LARGE_BYTES)})
""",
        {"reader"},
        "wrong body",
    ),
    "an echo": (
        """
async def conversation(receive, send):
    await receive()
    await send({'type': 'websocket.accept', 'headers': [(b'x-pid', b'1')]})
    for _ in range(3):
        await receive()
    await send({'type': 'websocket.send', 'text': 'another'})
""",
        {"websocket"},
        "an echo that is none|no answer in time",  # to who has not sent three messages yet
    ),
    "a conversation that ends": (
        """
async def conversation(receive, send):
    await receive()
    await send({'type': 'websocket.accept', 'headers': [(b'x-pid', b'1')]})
    for _ in range(5):
        await send({'type': 'websocket.send', 'text': (await receive())['text']})
""",
        {"websocket"},
        "closed with 1000",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_application_is_noticed(wrong):
    broken, kinds, why = WRONG[wrong]
    with Stage(1) as stage:
        stage.deploy("two", broken)
        assert not stage.reload()
        stage.load.lose(100 if "kept" in kinds else 3)
    lost = stage.findings.lost
    assert kinds <= {loss["kind"] for loss in lost} <= kinds | {"seldom"}
    reasons = {loss["why"] for loss in lost}
    assert all(any(part in reason for part in why.split("|")) for reason in reasons), reasons
    assert stage.findings.lost_count >= 3


def test_a_worker_that_dies_takes_requests_with_it():
    with Stage(2) as stage:
        victim = stage.serving()[0]
        with census.stopped([victim]):
            stage.hold([victim])
            os.kill(victim, signal.SIGKILL)
        stage.happened()
    assert stage.findings.held, "the clients have not noticed"
    assert stage.findings.good, stage.findings.lost


def test_a_death_that_nobody_announced_is_a_loss():
    with Stage(2) as stage:
        os.kill(stage.serving()[0], signal.SIGKILL)
        stage.happened()
    assert stage.findings.lost_count
    assert not stage.findings.held
