"""What all tests share: how hypothesis searches, and where it keeps what it found."""

from __future__ import annotations

import gc
import os
import re
from pathlib import Path

import pytest
from hypothesis import configuration, settings

ROOT = Path(__file__).parent.parent

# A failing example is kept beside pytest's own notes: ignored by git, removed by `make clean`.
configuration.set_hypothesis_home_dir(ROOT / ".pytest_cache" / "hypothesis")

# No deadline: the machine is shared, and a slow example is no wrong one. In CI the same examples
# are tried each time, so that a red run is the fault of the change.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


# Files of these take minutes each: with several processes they begin, so that no process is alone
# with one of them in the end.
LONG = ("tests/systemd", "tests/process", "tests/chaos", "tests/apps")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real daemons first, and among them machines."""
    ranks = {name: rank for rank, name in enumerate(LONG)}
    items.sort(key=lambda item: ranks.get("/".join(item.nodeid.split("/")[:2]), len(ranks)))


# The site that a test of tests/apps asks, by the end of its name: "[...-django-asgi-pure-h2]".
SITE = re.compile(
    r"tests/apps/.*\[(?:.*?-)?(?!native|pure)((?:django|falcon)-[aw]sgi|\w+)"
    r"-(?:(?:native|pure)-)?(?:tcp|unix|activated|h2)\]$"
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A file is for one process, and what asks one site is, whatever its file: served once."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class BySite(LoadFileScheduling):
        def _split_scope(self, nodeid):
            site = SITE.match(nodeid)
            return f"tests/apps: {site[1]}" if site else super()._split_scope(nodeid)

    return BySite(config, log)


def pytest_collection_finish() -> None:
    """What ten thousand tests are made of is no garbage: a test's own collection need not look."""
    gc.collect()
    gc.freeze()
