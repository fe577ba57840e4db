"""From the name of an application to the application, or to one line that says why not."""

from __future__ import annotations

import os
import sys

import pytest

from granian_d.errors import LoadError
from granian_d.worker.load import load_application

APPS = """
import os, sys

def app(scope, receive, send): return "the application"

def make(): return app

class site:
    class inner:
        @staticmethod
        def app(): return "deep"

class Rsgi:
    def __rsgi__(self, scope, protocol): ...

rsgi = Rsgi()
number = 7
_private = app
here = os.getcwd()
"""


@pytest.fixture
def refusal(plan):
    """The text of the error with which a target is refused, and its cause."""

    def load(target: str, status: int = 0, **changes):
        with pytest.raises(LoadError) as caught:
            load_application(plan(target, **changes))
        assert status in (0, caught.value.exit_code)
        return str(caught.value), caught.value.__cause__

    return load


# --- found ---------------------------------------------------------------------------------------


def test_an_attribute_of_a_module(write, plan):
    write("served_apps.py", APPS)
    assert load_application(plan("served_apps:app"))(0, 0, 0) == "the application"


def test_an_attribute_of_a_module_in_a_package(write, plan):
    write("served_package/__init__.py", "")
    write("served_package/sub/__init__.py", "")
    write("served_package/sub/web.py", APPS)
    assert load_application(plan("served_package.sub.web:app"))(0, 0, 0) == "the application"


def test_an_attribute_of_an_attribute(write, plan):
    write("served_apps.py", APPS)
    assert load_application(plan("served_apps:site.inner.app"))() == "deep"


def test_what_a_factory_makes(write, plan):
    write("served_apps.py", APPS)
    assert load_application(plan("served_apps:make", factory=True))(0, 0, 0) == "the application"


def test_an_rsgi_object_need_not_be_callable(write, plan):
    write("served_apps.py", APPS)
    found = load_application(plan("served_apps:rsgi"))
    assert not callable(found)
    assert hasattr(found, "__rsgi__")


def test_a_file(write, plan, directory):
    write("elsewhere/served_file.py", "import served_neighbour\n" + APPS)
    write("elsewhere/served_neighbour.py", "")
    found = load_application(plan("elsewhere/served_file.py:app"))
    assert found(0, 0, 0) == "the application"
    # It can be found again by its name, as pickle does.
    assert sys.modules[found.__module__].app is found
    assert sys.path[0] == str(directory / "elsewhere")


def test_a_file_by_its_full_path(write, plan, directory):
    write("served_file.py", APPS)
    assert load_application(plan(f"{directory}/served_file.py:app", working_dir=""))


def test_the_working_directory_is_where_the_application_lives(write, plan, directory):
    write("served_apps.py", APPS)
    load_application(plan("served_apps:app"))
    assert sys.modules["served_apps"].here == os.getcwd() == str(directory)
    assert sys.path[0] == str(directory)


def test_without_one_it_is_where_the_daemon_was_started(write, plan, directory):
    write("served_apps.py", APPS)
    os.chdir(directory)
    load_application(plan("served_apps:app", working_dir=""))
    assert sys.path[0] == str(directory)
    load_application(plan("served_apps:app", working_dir=""))
    assert sys.path.count(str(directory)) == 1


# --- not found -----------------------------------------------------------------------------------


def test_no_such_directory(refusal, directory):
    text, cause = refusal("a:b", working_dir=f"{directory}/no")
    assert text == f"working_dir {directory}/no: No such file or directory"
    assert cause is None


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("served_none:app", "there is no module 'served_none' (looked for served_none)"),
        (
            "served_package.none.web:app",
            "there is no module 'served_package.none' (looked for served_package.none.web)",
        ),
        ("served_none.web:app", "there is no module 'served_none' (looked for served_none.web)"),
        ("none.py:app", "there is no file none.py"),
        ("sub/none.py:app", "there is no file sub/none.py"),
        ("sub/none:app", "there is no file sub/none"),
        ("plain/text:app", "plain/text is not a Python file"),
    ],
)
def test_no_such_module(write, refusal, target, text):
    write("served_package/__init__.py", "")
    write("plain/text", "")
    assert refusal(target) == (text, None)


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("nothing", "served_apps has no attribute 'nothing' (callables: app, make, site, Rsgi)"),
        ("site.outer", "served_apps has no attribute 'outer' (callables: inner)"),
        ("number", "is not callable (int)"),
    ],
)
def test_no_such_application(write, refusal, target, text):
    write("served_apps.py", APPS)
    assert refusal(f"served_apps:{target}") == (f"served_apps:{target}: {text}", None)


def test_no_such_attribute_of_something_without_a_dictionary(write, refusal):
    write("served_apps.py", APPS)
    text, _ = refusal("served_apps:number.app")
    assert text == "served_apps:number.app: served_apps has no attribute 'app' (callables: none)"


# --- its own faults ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "text", "status"),
    [
        ("raise ValueError('no database')", "ValueError: no database", 70),
        ("import served_missing", "ModuleNotFoundError: No module named 'served_missing'", 65),
        ("from os import nothing_like_it", "ImportError: cannot import name 'nothing_like_it'", 65),
        ("def :", "SyntaxError: ", 65),
        ("nothing()", "NameError: name 'nothing' is not defined", 65),
        ("1 / 0", "ZeroDivisionError: division by zero", 70),
        ("open('/nowhere')", "FileNotFoundError: [Errno 2]", 70),
    ],
)
@pytest.mark.parametrize("name", ["served_bad", "served_bad.py"])
def test_an_application_that_cannot_be_imported_is_the_cause(
    write, refusal, code, text, status, name
):
    """65 where only other code could be imported, 70 where it may go well another time."""
    write("served_bad.py", code)
    said, cause = refusal(f"{name}:app", status=status)
    assert said.startswith(f"importing {name} failed: {text}")
    assert text.startswith(type(cause).__name__)
    assert cause.__traceback__ is not None


def test_a_missing_module_is_not_taken_for_the_application_itself(write, refusal):
    """`served_bad.sub` imports `served_missing`: it is not served_bad that is missing."""
    write("served_bad/__init__.py", "")
    write("served_bad/sub.py", "import served_missing")
    said, cause = refusal("served_bad.sub:app")
    assert "importing served_bad.sub failed" in said
    assert cause.name == "served_missing"


@pytest.mark.parametrize(
    ("code", "text"), [("sys.exit(3)", "SystemExit: 3"), ("sys.exit('bye')", "SystemExit: bye")]
)
def test_an_application_that_ends_the_process(write, refusal, code, text):
    write("served_bad.py", f"import sys\n{code}")
    said, cause = refusal("served_bad:app")
    assert said == f"importing served_bad ended the process: {text}"
    assert isinstance(cause, SystemExit)


def test_ctrl_c_during_an_import_is_not_the_fault_of_the_application(write, plan):
    write("served_bad.py", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load_application(plan("served_bad:app"))


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("raise KeyError('x')", "the factory failed: KeyError: 'x'"),
        ("return 7", "is not callable (int)"),
        ("return None", "is not callable (NoneType)"),
    ],
)
def test_a_factory_that_fails(write, refusal, body, text):
    write("served_bad.py", f"def make(): {body}")
    said, cause = refusal("served_bad:make", factory=True)
    assert said == f"served_bad:make: {text}"
    assert isinstance(cause, KeyError) == ("KeyError" in text)


def test_a_factory_that_is_none(write, refusal):
    write("served_bad.py", "make = 7")
    said, cause = refusal("served_bad:make", factory=True)
    assert said == "served_bad:make: the factory failed: TypeError: 'int' object is not callable"
    assert isinstance(cause, TypeError)


def test_a_factory_that_ends_the_process(write, refusal):
    write("served_bad.py", "import sys\ndef make(): sys.exit(3)")
    said, cause = refusal("served_bad:make", factory=True)
    assert "SystemExit: 3" in said
    assert isinstance(cause, SystemExit)
