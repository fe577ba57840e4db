"""The sample works as it is and when uncommented, and the effective values are TOML again."""

import re
import tomllib

import pytest

from granian_d.settings import load
from granian_d.settings.options import OPTIONS
from granian_d.settings.reference import reference
from granian_d.settings.render import effective, sample, sample_value
from granian_d.settings.usage import help_text
from tests.unit.settings.written import IN_FILE, get

COMMENTED = re.compile(r"^#(?=\S)", re.MULTILINE)  # prose has a blank after its mark


def loaded(tmp_path, text):
    file = tmp_path / "app.toml"
    file.write_text(text, encoding="utf-8")
    return load(["-c", str(file)], {})


def table_of(line_number, lines):
    """The table in which a line stands."""
    headers = [line for line in lines[:line_number] if line.startswith("[")]
    return headers[-1].strip("[]") + "." if headers else ""


def test_the_sample_is_valid_and_sets_little(tmp_path):
    chosen = loaded(tmp_path, sample())
    written = [
        option.key for option in OPTIONS.values() if chosen.origin(*option.path).name != "default"
    ]
    assert written == ["app", "config", "interface"]
    assert chosen.settings.interface == "asgi"


@pytest.mark.parametrize("option", IN_FILE, ids=lambda option: option.key)
def test_each_option_of_the_sample_can_be_uncommented(option, tmp_path):
    lines = sample().splitlines()
    key = option.path[-1]
    (at,) = [
        at
        for at, line in enumerate(lines)
        if re.match(rf"#?{key} = ", line) and table_of(at, lines) + key == option.key
    ]
    lines[at] = lines[at].removeprefix("#")
    chosen = loaded(tmp_path, "\n".join(lines))
    assert chosen.origin(*option.path).name == f"{tmp_path}/app.toml:{at + 1}"
    value = get(chosen.settings, option)
    if option.key == "app":
        assert value == "main:app"
    elif not option.multiple:
        assert value == sample_value(option)


def test_all_of_the_sample_can_be_uncommented(tmp_path):
    chosen = loaded(tmp_path, COMMENTED.sub("", sample()))
    origins = {chosen.origin(*option.path).name for option in IN_FILE}
    assert "default" not in origins


@pytest.mark.parametrize("option", OPTIONS.values(), ids=lambda option: option.key)
def test_every_option_is_on_every_page(option):
    name = option.flag.removeprefix("--")
    written = (
        option.kind.metavar
        if option.positional
        else f"--[no-]{name}"
        if option.switch
        else f"--{name}"
    )
    assert f" {written}" in help_text(80)
    assert f"`{option.variable}`" in reference()
    assert not option.in_file or f"`{option.key}`" in reference()


def test_the_effective_values_are_toml_with_origins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.toml").write_text("app = 'main'\n\n[http1]\nmax_headers = 7\n")
    text = effective(load(["-c", "app.toml", "--port", "80"], {"GRANIAN_WORKERS": "4"}))
    values = tomllib.loads(text)
    assert values["app"] == "main:app"
    assert values["http1"]["max_headers"] == 7
    assert values["backpressure"] == 256
    lines = {line.split(" = ")[0]: line.rpartition("# ")[2] for line in text.splitlines()}
    assert lines["app"] == "app.toml:1"
    assert lines["http1.max_headers"] == "app.toml:4"
    assert lines["port"] == "--port"
    assert lines["workers"] == "GRANIAN_WORKERS"
    assert lines["backpressure"] == "default"
    assert lines["# config"] == "-c"


def test_the_effective_values_load_again(tmp_path):
    argv = [
        "main",
        "--listen",
        "unix:/x,mode=0600,owner=me",
        "--umask",
        "027",
        "--access-log",
        "--workers",
        "3",
    ]
    first = load(argv, {})
    again = loaded(tmp_path, effective(first))
    for option in IN_FILE:
        assert get(again.settings, option) == get(first.settings, option)
