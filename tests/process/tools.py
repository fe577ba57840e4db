"""Programs that some tests need, and that a user's machine may lack."""

from __future__ import annotations

import os
import shutil

import pytest


def need(program: str, package: str) -> str:
    """The path of `program`; skips without it, which continuous integration may not."""
    path = shutil.which(program)
    if path is not None:
        return path
    reason = f"{program} is not here: apt install {package}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
