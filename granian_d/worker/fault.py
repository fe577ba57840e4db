"""What has gone wrong, in words: a sentence, and the application's own part of a traceback."""

from __future__ import annotations

import importlib
import os
import traceback
from typing import TYPE_CHECKING, Final

from granian_d.errors import DaemonError

if TYPE_CHECKING:
    from types import CodeType, TracebackType

PACKAGE: Final = os.path.dirname(os.path.dirname(__file__)) + os.sep
# A message to the master is bounded: of a sentence the beginning says most, of a traceback the end.
SENTENCE_CHARS: Final = 1_000
TRACEBACK_CHARS: Final = 15_000


def explain(error: Exception) -> str:
    """The message, and where the application itself went wrong, if it did."""
    cause = error.__cause__ if isinstance(error, DaemonError) else error
    sentence = " ".join(str(error).split())[:SENTENCE_CHARS]
    if cause is None:
        return sentence
    frames = application_frames(cause)
    text = "".join(traceback.format_exception(type(cause), cause, frames)).rstrip()
    return f"{sentence}\n{text[-TRACEBACK_CHARS:]}"


def application_frames(error: BaseException) -> TracebackType | None:
    """The traceback without the way to the application, which is always the same."""
    frames = error.__traceback__
    while frames is not None and frames.tb_next and _is_machinery(frames.tb_frame.f_code):
        frames = frames.tb_next
    return frames


def _is_machinery(code: CodeType) -> bool:
    """The code belongs to the import system or to granian-d."""
    name = code.co_filename
    return name.startswith(("<frozen importlib", PACKAGE)) or name == importlib.__file__
