"""What all tests share: how hypothesis searches, and where it keeps what it found."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import configuration, settings

if TYPE_CHECKING:
    import pytest

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


def pytest_collection_finish() -> None:
    """What ten thousand tests are made of is no garbage: a test's own collection need not look."""
    gc.collect()
    gc.freeze()
