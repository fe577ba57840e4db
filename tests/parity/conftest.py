"""Daemons for the applications in sites/, one for each file of tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.process.daemon import Daemon

SITES = Path(__file__).parent / "sites"


@pytest.fixture(scope="module")
def serving(tmp_path_factory):
    """Start a daemon for a site, with further lines of configuration; it ends with the module."""
    made = []

    def start(site: str, interface: str, *lines: str, workers: int = 1, **options) -> Daemon:
        config = [f'app = "{site}:app"', f'interface = "{interface}"', f"workers = {workers}"]
        folder = tmp_path_factory.mktemp(site)
        # The tests' own working directory, in which the applications leave their notes.
        config += ['listen = ["127.0.0.1:0", "unix:app.sock"]', *lines]
        environ = {"PYTHONPATH": str(SITES), **options.pop("environ", {})}
        daemon = Daemon(folder, "\n".join(config), environ=environ, **options)
        made.append(daemon)
        return daemon.__enter__()

    yield start
    for daemon in made:
        daemon.close()
