"""Does an application take the arguments of its interface? Asked once, before it serves.

A FastAPI application under RSGI would start well and then answer 500 to everything; the mistake is
in one word of the configuration, and its shape tells.
"""

from __future__ import annotations

import inspect
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

from granian_d.errors import LoadError

if TYPE_CHECKING:
    from granian_d.interface.contract import Application

ARGUMENTS: Final = {
    "asgi": ("scope", "receive", "send"),
    "rsgi": ("scope", "protocol"),
    "wsgi": ("environ", "start_response"),
}


def refuse_misfit(name: str, app: Application) -> None:
    """Raise if `app` certainly cannot be called as the interface `name` calls it.

    Raises:
        LoadError: names the arguments, and the interface that would fit.
    """
    wanted = "asgi" if name == "asginl" else name
    called = getattr(app, "__rsgi__", app) if wanted == "rsgi" else app
    if not callable(called):
        return  # the interface says so itself, in its own words
    if _plainly_takes(called, len(ARGUMENTS[wanted])):
        return
    try:
        signature = inspect.signature(called)
    except (TypeError, ValueError):
        return  # written in C, perhaps: no way to know
    if _takes(signature, ARGUMENTS[wanted]):
        return
    fitting = [other for other, names in ARGUMENTS.items() if _takes(signature, names)]
    meant = " or ".join(f'"{other}"' for other in fitting)
    hint = f"; is interface = {meant} meant?" if fitting else ""
    arguments, taken = ", ".join(ARGUMENTS[wanted]), ", ".join(signature.parameters)
    raise LoadError(
        f"{wanted} applications are called with ({arguments}), this one takes ({taken}){hint}"
    )


def _plainly_takes(called: Any, count: int) -> bool:
    """Whether it is a function, or an object with such a method, of that many arguments.

    Most are; for the others `inspect` finds out, and touches a quarter of a MiB of shared memory.
    """
    if not isinstance(called, FunctionType):
        called, count = type(called).__call__, count + 1
    if not isinstance(called, FunctionType):
        return False
    code = called.__code__
    return code.co_argcount == count and not code.co_kwonlyargcount


def _takes(signature: inspect.Signature, arguments: tuple[str, ...]) -> bool:
    try:
        signature.bind(*arguments)
    except TypeError:
        return False
    return True
