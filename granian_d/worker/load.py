"""Finding the application that a plan names."""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from granian_d.errors import ImportRaised, LoadError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from granian_d.plan import WorkerPlan

# What Python says of code as it is written. All else may be different at the next try.
_OF_THE_CODE: Final = (ImportError, SyntaxError, NameError, AttributeError, TypeError)


def load_application(plan: WorkerPlan, loader: Callable[[], Any] | None = None) -> Any:
    """Import the application and return it.

    A target is "package.module:attribute", or "path/to/file.py:attribute"; attributes may be
    dotted; with `factory` the attribute is called (without arguments) to get the application.
    Where a program has a loader of its own, the application is what that returns.

    Raises:
        LoadError: there is no such module or attribute, or the factory cannot be called. What the
            application raises by itself while it is imported is the error's cause; if that may be
            different at another time, the error is an ImportRaised.
    """
    if plan.venv:
        from granian_d.worker import venv  # noqa: PLC0415 - for whom it is no cost

        venv.enter(plan.venv)
    _enter_directory(plan)
    found = _find(plan) if loader is None else call_factory(loader, "the target loader failed")
    if not callable(found) and not hasattr(found, "__rsgi__"):
        raise LoadError(f"{plan.target}: is not callable ({type(found).__name__})")
    return found


def _find(plan: WorkerPlan) -> Any:
    """What the target names."""
    module_name, _, attribute = plan.target.partition(":")
    module = _import(module_name)
    found: Any = module
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            near = ", ".join(_callables(found)) or "none"
            raise LoadError(
                f"{plan.target}: {module_name} has no attribute {name!r} (callables: {near})"
            ) from None
    return call_factory(found, f"{plan.target}: the factory failed") if plan.factory else found


def _enter_directory(plan: WorkerPlan) -> None:
    """Go to the application's directory and put it first on sys.path, as `python` does."""
    if plan.working_dir:
        try:
            os.chdir(plan.working_dir)
        except OSError as error:
            raise LoadError(f"working_dir {plan.working_dir}: {error.strerror}") from None
    directory = os.getcwd()
    if directory not in sys.path:
        sys.path.insert(0, directory)


def _import(name: str) -> ModuleType:
    is_path = name.endswith(".py") or os.sep in name
    try:
        return _import_file(name) if is_path else import_module(name)
    except LoadError:
        raise
    except ImportError as error:
        if not is_path and error.name is not None and _is_part_of(error.name, name):
            raise LoadError(f"there is no module {error.name!r} (looked for {name})") from None
        raise LoadError(f"importing {name} failed: {_brief(error)}") from error
    except SystemExit as error:
        raise ImportRaised(f"importing {name} ended the process: {_brief(error)}") from error
    except Exception as error:
        raise _kind(error)(f"importing {name} failed: {_brief(error)}") from error


def _import_file(path: str) -> ModuleType:
    """The module in a file, under its base name, so that it can be pickled and found again."""
    full = os.path.abspath(path)
    if not os.path.isfile(full):
        raise LoadError(f"there is no file {path}")
    name = os.path.basename(full).removesuffix(".py")
    sys.path.insert(0, os.path.dirname(full))
    spec = importlib.util.spec_from_file_location(name, full)
    if spec is None or spec.loader is None:
        raise LoadError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def call_factory(maker: Any, failed: str) -> Any:
    """What `maker` returns.

    Raises:
        LoadError: it raised; `failed` says what that is.
    """
    try:
        return maker()
    except (Exception, SystemExit) as error:
        raise _kind(error)(f"{failed}: {_brief(error)}") from error


def _kind(error: BaseException) -> type[LoadError]:
    return LoadError if isinstance(error, _OF_THE_CODE) else ImportRaised


def _is_part_of(missing: str, wanted: str) -> bool:
    return wanted == missing or wanted.startswith(missing + ".")


def _brief(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _callables(found: Any) -> list[str]:
    names: dict[str, Any] = getattr(found, "__dict__", {})
    return [name for name in names if not name.startswith("_") and callable(names[name])]
