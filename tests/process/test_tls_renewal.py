"""Certificates that change on disk: taken up by the workers that serve, and only when they fit."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.process.conftest import CONFIG
from tests.process.daemon import Daemon, wait_until
from tests.process.tls_client import SecureConnection, context_for, fetch

TABLE = '[ssl]\ncertificate = "host.crt"\nkeyfile = "host.key"\n'


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture
def renew(authority, tmp_path):
    """Put another certificate in the place of the one that there is."""

    def put(kind: str = "ec", directory=tmp_path):
        issued = authority.issue("localhost", kind=kind)
        issued.write(directory, "host")
        return issued

    return put


class Callers:
    """Handshake after handshake from two threads, until told to stop; what failed of them."""

    def __init__(self, daemon, context):
        self._address = ("127.0.0.1", daemon.port)
        self._context = context
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call) for _ in range(2)]
        self.count = 0
        self.failures = []

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def more(self, count=50):
        """Return when so many more have succeeded."""
        wanted = self.count + count
        wait_until(lambda: self.count >= wanted or self.failures)

    def _call(self):
        while not self._stop.is_set():
            connection = SecureConnection(self._address, self._context)
            try:
                assert connection.ask().status == 200
                self.count += 1
            except (OSError, AssertionError) as error:
                self.failures.append(error)
            finally:
                connection.close()


def shown_by_all(daemon, context, issued, workers=2) -> bool:
    """Every worker shows this certificate: as many in a row as make a stray one unlikely."""
    seen = set()
    for _ in range(100):
        connection = SecureConnection(("127.0.0.1", daemon.port), context)
        with contextlib.closing(connection):
            seen.add(connection.ask().text)
            if not connection.shows(issued):
                return False
        if len(seen) == workers:
            return True
    return False


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_a_new_certificate_under_load(serve, renew, authority, kind):
    renew()
    daemon = serve(2, TABLE)
    before = daemon.workers()
    context = context_for(authority)
    with Callers(daemon, context) as callers:
        callers.more()
        issued = renew(kind)
        wait_until(lambda: shown_by_all(daemon, context, issued))
        callers.more()
    assert callers.failures == []
    assert daemon.workers() == before
    daemon.wait_for_log("Certificates read again: localhost")


def test_tickets_outlive_the_certificate(serve, renew, authority):
    renew()
    daemon = serve(2, TABLE)
    context = context_for(authority)
    first = SecureConnection(("127.0.0.1", daemon.port), context)
    first.ask()
    session = first.sock.session
    first.close()
    issued = renew()
    wait_until(lambda: shown_by_all(daemon, context, issued))
    again = SecureConnection(("127.0.0.1", daemon.port), context, session=session)
    again.ask()
    assert again.sock.session_reused
    again.close()


def test_a_link_to_another_directory(serve, renew, authority, tmp_path):
    """As certbot and Kubernetes renew: the files stay as they are, a link changes."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    renew(directory=tmp_path / "one")
    (tmp_path / "live").symlink_to("one")
    daemon = serve(1, '[ssl]\ncertificate = "live/host.crt"\nkeyfile = "live/host.key"\n')
    issued = renew(directory=tmp_path / "two")
    (tmp_path / "next").symlink_to("two")
    os.rename(tmp_path / "next", tmp_path / "live")
    context = context_for(authority)
    wait_until(lambda: shown_by_all(daemon, context, issued, 1))


def test_a_pair_that_does_not_fit_changes_nothing(serve, renew, authority, tmp_path):
    first = renew()
    daemon = serve(2, TABLE)
    context = context_for(authority)
    stranger = authority.issue("localhost")
    (tmp_path / "host.crt").write_bytes(stranger.pem)
    line = "Certificates are not renewed, the old ones stay: ssl.keyfile: "
    daemon.wait_for_log(line)
    assert shown_by_all(daemon, context, first)
    issued = renew()
    wait_until(lambda: shown_by_all(daemon, context, issued))
    assert daemon.log.count(line) == 1


def test_a_reload_with_a_broken_certificate_keeps_the_old_one(serve, renew, authority, tmp_path):
    first = renew()
    daemon = serve(2, TABLE)
    before = daemon.workers()
    (tmp_path / "host.crt").write_text("gone")
    assert "last reload failed" in daemon.reload()
    assert "holds no certificate" in daemon.log
    assert daemon.workers() == before
    assert shown_by_all(daemon, context_for(authority), first)


def test_a_reload_takes_the_new_certificate(serve, renew, authority):
    renew()
    daemon = serve(2, TABLE)
    issued = renew()
    assert "gen 2, 2 workers" in daemon.reload()
    assert shown_by_all(daemon, context_for(authority), issued)


def test_a_client_that_is_revoked_later(serve, renew, authority, tmp_path):
    """Its ticket must not let it in either."""
    renew()
    clients = Authority("Clients")
    alice = clients.issue()
    (tmp_path / "clients.crt").write_bytes(clients.pem)
    (tmp_path / "clients.crl").write_bytes(clients.revoke())
    daemon = serve(1, TABLE + 'ca = "clients.crt"\ncrl = ["clients.crl"]\nclient_verify = true')
    context = context_for(authority, cert=alice.write(tmp_path, "alice"))
    session = None

    def let_in() -> bool:
        nonlocal session
        connection = SecureConnection(("127.0.0.1", daemon.port), context, session=session)
        try:
            connection.ask()
            session = connection.sock.session
        except OSError:
            return False
        finally:
            connection.close()
        return True

    assert let_in()
    (tmp_path / "clients.crl").write_bytes(clients.revoke(alice))
    daemon.wait_for_log("Certificates read again")
    wait_until(lambda: not let_in())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can serve as somebody else")
def test_workers_that_may_not_read_the_key(renew, authority, deploy, tmp_path):
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        shutil.copy(tmp_path / "served.py", directory)
        renew(directory=directory)
        (directory / "host.key").chmod(0o600)
        text = CONFIG.format(workers=2, more=f'user = "nobody"\n{TABLE}')
        with Daemon(directory, text) as daemon:
            daemon.wait_for_log("Started worker-", 2)
            context = context_for(authority)
            issued = renew(directory=directory)
            (directory / "host.key").chmod(0o600)
            wait_until(lambda: shown_by_all(daemon, context, issued))
            answer = fetch(("127.0.0.1", daemon.port), context, "/environ")
            assert answer.json["uid"] != 0
