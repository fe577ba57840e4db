"""The transports under test: every test of a connection runs on both."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

from granian_d.http.turn import Turn
from granian_d.transport.tcp import StreamConnections

if TYPE_CHECKING:
    import asyncio

DIRECT = "granian_d.transport.direct"
NAMES = ("stream", "direct")


def need(name: str) -> str:
    """Skip where the transport is not compiled; continuous integration has to have it."""
    if name == "stream" or find_spec(DIRECT):
        return name
    reason = f"{DIRECT} is not compiled: apt install gcc python3-dev, then install the package"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def make(name: str, loop: asyncio.AbstractEventLoop, *facts: Any) -> Any:
    """An empty set of connections; `facts` are the arguments that both have."""
    if name == "stream":
        return StreamConnections(*facts)
    return import_module(DIRECT).DirectConnections(*facts, loop, Turn())
