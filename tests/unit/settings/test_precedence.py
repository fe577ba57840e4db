"""Every option is read from every source, as it was written, and the origin is told."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from granian_d.settings import load
from granian_d.settings.options import OPTIONS
from tests.unit.settings.written import IN_FILE, Sources, get, values

SOURCES = ["argument", "variable", "file"]  # in order of precedence
few = settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def read(sources):
    return load(sources.arguments(), sources.environ)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("option", IN_FILE, ids=lambda option: option.key)
@few
@given(data=st.data())
def test_a_value_is_read_as_it_was_written(source, option, data, tmp_path):
    value = data.draw(values(option))
    sources = Sources(tmp_path)
    origin = sources.write(source, option, value)
    if option.key != "app":
        sources.write("argument", OPTIONS["app"], "main:app")
    loaded = read(sources)
    assert get(loaded.settings, option) == value
    assert loaded.origin(*option.path).name == origin


@pytest.mark.parametrize("option", IN_FILE, ids=lambda option: option.key)
@few
@given(data=st.data())
def test_the_first_source_in_order_takes_precedence(option, data, tmp_path):
    present = data.draw(st.lists(st.sampled_from(SOURCES), unique=True))
    sources = Sources(tmp_path)
    written = {
        source: (value, sources.write(source, option, value))
        for source in present
        for value in [data.draw(values(option))]
    }
    if option.key == "app" and not present:
        return
    if option.key != "app":
        sources.write("argument", OPTIONS["app"], "main:app")
    loaded = read(sources)
    first = next((source for source in SOURCES if source in written), None)
    if first is None:
        assert loaded.origin(*option.path).name == "default"
        assert option.computed or get(loaded.settings, option) == option.default
    else:
        assert get(loaded.settings, option) == written[first][0]
        assert loaded.origin(*option.path).name == written[first][1]


def test_the_file_is_named_by_the_argument_before_the_variable(tmp_path):
    for name in ("one", "two"):
        (tmp_path / f"{name}.toml").write_text(f'app = "{name}"')
    one, two = (str(tmp_path / f"{name}.toml") for name in ("one", "two"))
    assert load([], {"GRANIAN_CONFIG": two}).settings.app == "two:app"
    loaded = load(["-c", one], {"GRANIAN_CONFIG": two})
    assert loaded.settings.app == "one:app"
    assert loaded.origin("config").name == "-c"


def test_tables_are_merged_key_by_key(tmp_path):
    file = tmp_path / "app.toml"
    file.write_text("[http1]\nkeep_alive = false\nmax_headers = 7\n")
    loaded = load(["main", "-c", str(file), "--http1-max-headers", "8"], {})
    assert loaded.settings.http1.keep_alive is False
    assert loaded.settings.http1.max_headers == 8


@pytest.mark.parametrize("option", OPTIONS.values(), ids=lambda option: option.key)
def test_the_default_is_a_valid_value(option):
    """Defaults are not validated at run time; the model's author is told here."""
    if option.required or option.default is None:
        return
    loaded = load(["main"], {})
    sources = Sources(None, named=False)
    sources.write("variable", option, option.default)
    sources.argv = ["main"]
    if option.default not in {"", ()}:  # an empty variable is none
        assert get(read(sources).settings, option) == option.default
    assert get(loaded.settings, option) == option.default


def test_names_are_derived_but_for_those_of_granian():
    own = {
        key: option
        for key, option in OPTIONS.items()
        if option.variable != "GRANIAN_" + key.replace(".", "_").upper()
    }
    assert {key: option.variable for key, option in own.items()} == {
        "access_log.enabled": "GRANIAN_LOG_ACCESS_ENABLED",
        "access_log.fmt": "GRANIAN_LOG_ACCESS_FMT",
        "reload.enabled": "GRANIAN_RELOAD",
    }
    assert OPTIONS["http1.keep_alive"].flag == "--http1-keep-alive"
    assert OPTIONS["http1.keep_alive"].negative_flag == "--no-http1-keep-alive"
    assert OPTIONS["log.enabled"].flag == "--log"
    assert OPTIONS["access_log.enabled"].negative_flag == "--no-access-log"


def test_names_are_unique():
    for names in (
        [option.flag for option in OPTIONS.values()],
        [option.variable for option in OPTIONS.values()],
    ):
        assert len(set(names)) == len(names)


def test_computed_defaults():
    def defaults(*argv):
        chosen = load(["main", *argv], {}).settings
        return chosen.backpressure, chosen.blocking_threads, chosen.surge, chosen.process_name

    assert defaults() == (1024, 1, 1, "main:app")
    assert defaults("--workers", "4") == (256, 1, 4, "main:app")
    assert defaults("--workers", "4", "--interface", "wsgi") == (256, 128, 4, "main:app")
    assert defaults("--backlog", "128", "--workers", "512", "--interface", "wsgi")[:2] == (1, 1)
    assert defaults("--backpressure", "9", "--interface", "wsgi")[:2] == (9, 4)


def test_the_process_is_named_after_the_file(tmp_path):
    file = tmp_path / "shop.toml"
    file.write_text("")
    assert load(["main", "-c", str(file)], {}).settings.process_name == "shop"


def test_flags_may_follow_the_application_and_the_last_one_counts():
    chosen = load(
        ["--workers", "2", "main", "--workers=3", "--http1-keep-alive", "--no-http1-keep-alive"], {}
    ).settings
    assert (chosen.workers, chosen.http1.keep_alive) == (3, False)


def test_what_follows_two_dashes_is_no_option():
    assert load(["--workers", "2", "--", "main"], {}).settings.app == "main:app"


def test_an_empty_variable_is_not_set():
    assert load(["main"], {"GRANIAN_UDS": ""}).settings.uds is None


def test_words_are_read_in_any_case_and_aliases_mean_their_word():
    chosen = load(["main", "--interface", "WSGI", "--log-level", "Warn"], {}).settings
    assert (chosen.interface, chosen.log.level) == ("wsgi", "warning")
    assert load(["main", "--log-level", "notset"], {}).settings.log.level == "debug"


@pytest.mark.parametrize("target", ["main", "pkg.main", "path/to/main.py"])
def test_the_attribute_is_app_unless_given(target):
    assert load([target], {}).settings.app == f"{target}:app"
    assert load([f"{target}:make.app"], {}).settings.app == f"{target}:make.app"
