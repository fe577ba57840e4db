"""Nothing is lost: reloads, restarts and stops of the unit under load."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.process.daemon import wait_until
from tests.process.load import Load

RELOADS = 20
RESTARTS = 5

TCP_SOCKET = """
[Socket]
ListenStream=
ListenStream=127.0.0.1:{port}
"""


def nothing_lost(load: Load, *versions: str) -> None:
    """Each request was answered, and each version seen."""
    assert load.result["lost"] == []
    seen = {body.split()[0] for body in load.result["bodies"]}
    assert seen >= set(versions)


def test_reloads_under_load_lose_nothing(serve):
    service = serve()
    with Load(("127.0.0.1", service.port), keep=2, new=1) as load:
        for number in range(RELOADS):
            service.deploy(version=f"v{number}")
            service.systemctl("reload")
            load.more(10)
    nothing_lost(load, "one", *(f"v{number}" for number in range(RELOADS)))


def test_restarts_under_load_lose_nothing_where_systemd_holds_the_socket(make):
    service = make(listen=("systemd:http",))
    service.drop_in(TCP_SOCKET.format(port=service.port), kind="socket")
    service.socket_unit(service.socket)
    service.load()
    service.systemctl("start", service.socket)
    restarts_lose_nothing(service)


def test_restarts_under_load_lose_nothing_with_the_store(serve):
    service = serve()
    assert service.show("NFileDescriptorStore") != "0"
    restarts_lose_nothing(service)


def restarts_lose_nothing(service):
    with Load(("127.0.0.1", service.port), keep=2, new=1) as load:
        for number in range(RESTARTS):
            service.deploy(version=f"v{number}")
            service.systemctl("restart")
            load.more(10)
    nothing_lost(load, *(f"v{number}" for number in range(RESTARTS)))
    assert "SIGKILL" not in service.journal()


def test_a_stop_answers_whoever_was_asking_and_kills_nobody(serve):
    service = serve()
    asking = 4
    with ThreadPoolExecutor(asking) as clients:
        answers = [clients.submit(service.get, "/slow?2") for _ in range(asking)]
        asked = f"{asking} active"
        wait_until(lambda: asked in service.machine("granianctl", "status", "-i", service.name))
        service.systemctl("stop")
        assert [answer.result().status for answer in answers] == [200] * asking
    assert service.show("Result") == "success"
    assert "SIGKILL" not in service.journal()
