"""What is not Python is in the wheel, and where programs look for it."""

import tomllib

import pytest

from tests.architecture.source import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PLACES = {
    directory: {path for pattern in patterns for path in ROOT.glob(pattern)}
    for directory, patterns in PROJECT["tool"]["setuptools"]["data-files"].items()
}


@pytest.mark.parametrize("directory", ["systemd", "packaging/man", "packaging/completions"])
def test_every_file_has_a_place(directory):
    files = {path for path in (ROOT / directory).rglob("*") if path.is_file()}
    assert files
    assert files <= {path for members in PLACES.values() for path in members}


@pytest.mark.parametrize("directory", PLACES)
def test_every_place_has_files_of_its_kind(directory):
    members = PLACES[directory]
    assert members
    assert all(path.is_file() for path in members), "setuptools copies no directories"
    if directory.startswith("share/man/man"):
        assert {path.suffix for path in members} == {"." + directory[-1]}
