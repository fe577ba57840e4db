"""What an application leaves for the test to read, and where it waits for the test.

The test and its applications share the folder $SITE_DIR. A note is one line of its file `notes`,
written with one write, so that workers do not mix their lines. A gate is a file: closed until the
test makes it. Both replace guessing how long something takes.
"""

from __future__ import annotations

import asyncio
import os
import time

DIRECTORY = os.environ["SITE_DIR"]
LOOK_S = 0.005  # between two looks at a gate
PATIENCE_S = 30.0  # a gate that stays closed is a test that has died


def note(text: str) -> None:
    """Write a line that tells the test what has happened, and in which process."""
    fd = os.open(os.path.join(DIRECTORY, "notes"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(fd, f"{os.getpid()} {text}\n".encode())
    finally:
        os.close(fd)


def shared(name: str) -> str:
    """Path of a file in the shared folder."""
    return os.path.join(DIRECTORY, os.path.basename(name))


def _closed(name: str, since: float) -> bool:
    if time.monotonic() > since + PATIENCE_S:
        raise TimeoutError(f"nobody opened the gate {name}")
    return not os.path.exists(shared(name))


def pass_gate(name: str) -> None:
    """Wait, in a thread, until the test has opened the gate."""
    since = time.monotonic()
    while _closed(name, since):
        time.sleep(LOOK_S)


async def pass_gate_async(name: str) -> None:
    """Wait, on the loop, until the test has opened the gate."""
    since = time.monotonic()
    while _closed(name, since):
        await asyncio.sleep(LOOK_S)
