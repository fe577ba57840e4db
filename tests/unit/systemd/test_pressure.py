"""What tells that memory is short."""

from __future__ import annotations

import base64
import os
import select
import socket

import pytest

from granian_d.systemd.pressure import WATCH, WRITE, Pressure

ASKED = "some 200000 2000000"


@pytest.fixture
def watch():
    made = []

    def make(path, asked: str = ASKED) -> Pressure:
        environ = {WATCH: str(path), WRITE: base64.b64encode(asked.encode()).decode()}
        made.append(Pressure(environ))
        return made[-1]

    yield make
    for one in made:
        one.close()


def is_told(pressure: Pressure) -> bool:
    return bool(select.select([pressure], [], [], 0)[0])


def test_a_pipe(tmp_path, watch):
    os.mkfifo(path := tmp_path / "pressure")
    pressure = watch(path, "")
    assert not is_told(pressure)
    for _ in range(2):
        with path.open("wb", buffering=0) as manager:
            manager.write(b"now")
        assert is_told(pressure)
        assert pressure.hear()
        assert not is_told(pressure)


def test_a_socket_is_asked_and_may_end(tmp_path, watch, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as manager:
        manager.bind("pressure")
        manager.listen()
        pressure = watch("pressure")
        peer, _ = manager.accept()
    with peer:
        assert peer.recv(100) == ASKED.encode()
        assert not is_told(pressure)
        peer.send(b"now")
        assert is_told(pressure)
        assert pressure.hear()
    assert is_told(pressure)
    assert not pressure.hear(), "it has ended"


@pytest.mark.skipif(not os.path.exists("/proc/pressure/memory"), reason="this kernel has no PSI")
def test_the_file_of_the_kernel(watch):
    try:
        pressure = watch("/proc/pressure/memory", "some 1000000 10000000\0")
    except OSError as error:
        pytest.skip(f"this kernel lets nobody watch: {error}")
    assert not is_told(pressure)
    assert pressure.hear(), "with nothing to read"


@pytest.mark.parametrize("path", ["/nowhere", "/dev/zero", "/"])
def test_what_cannot_be_watched(watch, path):
    with pytest.raises(OSError, match=r"No such file|is nothing that tells"):
        watch(path)


def test_what_is_not_base64(tmp_path):
    os.mkfifo(path := tmp_path / "pressure")
    with pytest.raises(ValueError, match=r"base64|Invalid"):
        Pressure({WATCH: str(path), WRITE: "?"})
