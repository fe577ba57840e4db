"""What a conversation leaves behind: nothing that only the garbage collector finds."""

from __future__ import annotations

import gc
import weakref

import pytest

from tests.unit.engine.talk import ENGINES, TEXT, Talk, Tunnel, close, frame


class Line(Tunnel):
    """It does not keep the endpoint: that is the transport's."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "endpoint" and value is not None:
            self.wire.switch(value)
        else:
            super().__setattr__(name, value)


@pytest.mark.parametrize("end", ["close", "lost", "abort"])
@pytest.mark.parametrize("engine", ENGINES)
def test_no_cycle_is_left(engine: str, end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.unit.engine.talk.Tunnel", Line)
    gc.collect()
    gc.disable()
    try:
        talk = Talk(engine)
        exchange = weakref.ref(talk.exchange)
        [endpoint] = talk.wire.switched
        endpoint.feed_data(frame(TEXT, b"x"))
        assert talk.pulled() == ["x"]
        if end == "close":
            endpoint.feed_data(close())
        elif end == "lost":
            endpoint.feed_lost()
        else:
            talk.session.abort()
        assert talk.session.state == 3
        talk.record.begun.clear()  # the fakes hold each other, too
        talk.record.over.clear()
        talk.wire.switched.clear()
        del talk, endpoint
        assert exchange() is None
    finally:
        gc.enable()
