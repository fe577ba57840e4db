"""How values are written: durations, octal modes, truths; and that they read back."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from granian_d.settings.kinds import KINDS, Text
from granian_d.settings.refusal import Refusal

DURATION, OCTAL, SWITCH = KINDS["duration"], KINDS["octal"], KINDS["switch"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("90", 90),
        ("1.5", 1.5),
        ("90s", 90),
        ("1m30s", 90),
        ("1h30m", 5400),
        ("2d", 172800),
        ("10d10h10m10s", 900610),
        ("007", 7),
    ],
)
def test_durations(text, seconds):
    assert DURATION.parse(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", " 1", "1 s", "-1", "1e3", "nan", "inf", "30m1h", "1h1h", "h", "1.5h", "1M", "٣", "0x1"],
)
def test_no_durations(text):
    with pytest.raises(ValueError):
        DURATION.parse(text)


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))
def test_durations_add_up(days, hours, minutes, seconds):
    assert DURATION.parse(f"{days}d{hours}h{minutes}m{seconds}s") == seconds + 60 * (
        minutes + 60 * (hours + 24 * days)
    )


@given(st.floats(0, 86400).map(lambda value: round(value, 3)))
def test_durations_read_back(value):
    assert DURATION.parse(DURATION.text(value)) == value
    assert DURATION.read(tomllib.loads(f"v = {DURATION.toml(value)}")["v"]) == value


@pytest.mark.parametrize(
    ("written", "mode"),
    [
        (Text("0660"), 0o660),
        ("0660", 0o660),
        (0o660, 0o660),
        (Text("432"), 432),
        (Text("0"), 0),
        (Text("022"), 0o22),
    ],
)
def test_octal_modes(written, mode):
    assert OCTAL.read(written) == mode


@pytest.mark.parametrize("written", [Text("660"), "777", 660])
def test_a_mode_without_its_zero_is_explained(written):
    with pytest.raises(Refusal, match=f'did you mean "0{written}"'):
        OCTAL.read(written)


@pytest.mark.parametrize("text", ["", "0o660", "0888", "rw", "-1"])
def test_no_octal_modes(text):
    with pytest.raises(ValueError):
        OCTAL.parse(text)


@given(st.integers(0, 0o777))
def test_octal_modes_read_back(mode):
    assert OCTAL.parse(OCTAL.text(mode)) == mode


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("true", True),
        ("YES", True),
        ("1", True),
        ("on", True),
        ("False", False),
        ("n", False),
        ("0", False),
        ("off", False),
    ],
)
def test_truths(text, truth):
    assert SWITCH.parse(text) is truth


def test_toml_values_keep_their_type():
    """What is not of the kind's TOML type is left as it is, for the model to refuse."""
    assert KINDS["integer"].read("4") == "4"
    assert SWITCH.read("true") == "true"
    assert SWITCH.read(1) == 1
    assert DURATION.read(True) is True


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_string_can_be_written_as_toml(text):
    assert tomllib.loads(f"v = {KINDS['string'].toml(text)}")["v"] == text
