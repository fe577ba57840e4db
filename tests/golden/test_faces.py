"""What is rendered from the model equals what is committed: a changed face is a visible one."""

import pytest

from tests.golden.regenerate import FACES, ROOT


@pytest.mark.parametrize("name", FACES)
def test_the_committed_face_is_the_rendered_one(name):
    committed = (ROOT / name).read_text(encoding="utf-8")
    assert committed == FACES[name](), "run `python -m tests.golden.regenerate` and review the diff"


@pytest.mark.parametrize("width", [80, 100])
def test_the_help_keeps_its_width(width):
    lines = (ROOT / f"tests/golden/help-{width}.txt").read_text(encoding="utf-8").splitlines()
    assert max(len(line) for line in lines) <= width
