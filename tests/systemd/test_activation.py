"""Sockets that systemd holds: several with names, the first request, and leaving when idle."""

from __future__ import annotations

from tests.process.daemon import wait_until

PLAIN = """
[Unit]
Description=Another socket of %i

[Socket]
ListenStream=127.0.0.1:{port}
FileDescriptorName=plain
Service={service}
"""


def on_sockets(service) -> tuple[str, str]:
    """Two socket units for it: the one that is shipped (unix) and another (TCP)."""
    unix, tcp = service.socket, f"plain-{service.name}.socket"
    service.socket_unit(unix)
    service.socket_unit(tcp, PLAIN.format(port=service.port, service=service.unit))
    service.drop_in(f"[Service]\nSockets={unix} {tcp}\n")
    service.load()
    service.systemctl("start", unix)
    service.systemctl("start", tcp)
    return unix, tcp


def test_sockets_are_told_apart_by_their_names_and_the_first_request_starts_the_service(make):
    service = make(listen=("systemd:http", "systemd:plain"))
    unix, tcp = on_sockets(service)
    path = f"/run/granian-{service.name}.sock"
    assert service.show("ActiveState") == "inactive"
    assert service.get(address=path).text.startswith("one ")
    assert service.get().text.startswith("one ")
    assert service.show("ActiveState") == "active"
    service.systemctl("stop")
    # They are systemd's: neither closed nor unlinked.
    assert service.show("ActiveState", unix) == service.show("ActiveState", tcp) == "active"
    assert service.machine.path(path).is_socket()
    assert service.get(address=path).text.startswith("one ")


def test_an_idle_service_leaves_and_comes_back_when_asked(make):
    service = make("idle_exit = 1", listen=("systemd:http", "systemd:plain"))
    on_sockets(service)
    for _ in range(2):
        assert service.get().text.startswith("one ")
        wait_until(lambda: service.show("ActiveState") == "inactive", service.journal)
    assert service.show("Result") == "success"
    assert service.show("NRestarts") == "0"
