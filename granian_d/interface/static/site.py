"""All mounts of a worker: which file an exchange asks for, and in which form."""

from __future__ import annotations

import os
from time import time_ns
from typing import TYPE_CHECKING, Final

from granian_d.errors import Disconnected
from granian_d.interface.static import answer, codings, conditions
from granian_d.interface.static.answer import Representation
from granian_d.interface.static.media_types import media_type
from granian_d.interface.static.mount import FolderError, Mount, NotHereError
from granian_d.interface.static.routes import Routes

if TYPE_CHECKING:
    from collections.abc import Callable

    from granian_d.http.exchange import Exchange
    from granian_d.http.message import Fields
    from granian_d.interface.static.mount import ServedFile
    from granian_d.interface.static.routes import Wanted
    from granian_d.plan import StaticPlan

METHODS: Final = b"GET, HEAD, OPTIONS"
_Names = tuple[bytes, ...]


class Site:
    """What a worker answers with files.

    Args:
        plan: the mounts, and how they are served.
        clock_ns: tells Unix time in nanoseconds.

    Attributes:
        notes: what is wrong with a mount but stops nothing, one line each, for the log.
    """

    def __init__(self, plan: StaticPlan, clock_ns: Callable[[], int] = time_ns) -> None:
        self._clock_ns = clock_ns
        self._index = tuple(os.fsencode(plan.index).split(b"/")) if plan.index else None
        self._precompressed = plan.precompressed
        self._kept: Fields = []
        if plan.expires_s:
            self._kept.append((b"cache-control", b"max-age=%d" % int(plan.expires_s)))
        self._routes = Routes(
            (mount.route, Mount(mount.directory, plan.symlinks)) for mount in plan.mounts
        )
        self.notes = [
            f"static files: the directory {mount.directory} cannot be entered"
            for mount in plan.mounts
            if not os.access(mount.directory, os.X_OK)
        ]

    def serve(self, exchange: Exchange) -> bool:
        """Answer, if a route is the beginning of the path; False if none is.

        The application is not asked then, whatever is found. Files are opened here and now: a slow
        disk holds the loop up.
        """
        wanted = self._routes.find(exchange.head.raw_path)
        if wanted is None:
            return False
        try:
            self._answer(exchange, wanted)
        except Disconnected:
            exchange.abort()
        except OSError as error:
            exchange.observer.crashed(exchange, error)
            exchange.fail()
        return True

    def _answer(self, exchange: Exchange, wanted: Wanted) -> None:
        method = exchange.head.method
        if method == "OPTIONS":
            answer.name_methods(exchange, METHODS)
        elif method not in ("GET", "HEAD"):
            answer.refuse(exchange, 405, (b"allow", METHODS))
        elif wanted.names is None:
            answer.refuse(exchange, 404)
        else:
            self._look_up(exchange, wanted.mount, wanted.names, wanted.folder)

    def _look_up(self, exchange: Exchange, mount: Mount, names: _Names, folder: bool) -> None:
        """Answer with the file, or with the index of the directory, of that name."""
        try:
            try:
                self._give(exchange, mount, self._index_in(names) if folder else names)
            except FolderError:
                if folder:
                    raise
                self._give(exchange, mount, self._index_in(names))
        except NotHereError:
            answer.refuse(exchange, 404)

    def _index_in(self, names: _Names) -> _Names:
        if self._index is None:
            raise NotHereError
        return names + self._index

    def _give(self, exchange: Exchange, mount: Mount, names: _Names) -> None:
        """Answer with a file, or with one beside it that has its content compressed."""
        asked = conditions.asked(exchange.head.fields)
        file = mount.open(names)
        media = media_type(names[-1])
        now_ns = self._clock_ns()
        if not (self._precompressed and media.compressible):
            what = Representation(file, media.field, codings.IDENTITY, self._kept)
            answer.give(exchange, what, asked, now_ns)
            return
        form = None
        try:
            form = _best_form(mount, names, file, asked.get(b"accept-encoding"))
        finally:
            if form is None:
                file.close()
        if form is None:
            answer.refuse(exchange, 406, answer.VARY)  # identity;q=0, and there is nothing else
        else:
            # Vary: whether there is another form now or there will be one.
            what = Representation(form[0], media.field, form[1], [*self._kept, answer.VARY])
            answer.give(exchange, what, asked, now_ns)


def _best_form(
    mount: Mount, names: _Names, file: ServedFile, accepted: bytes | None
) -> tuple[ServedFile, bytes] | None:
    """The form that a client likes best, with its coding; the plain file is closed for another."""
    for coding in codings.acceptable(accepted):
        if coding == codings.IDENTITY:
            return file, coding
        beside = _beside(mount, names, coding, file)
        if beside is not None:
            file.close()
            return beside, coding
    return None


def _beside(mount: Mount, names: _Names, coding: bytes, file: ServedFile) -> ServedFile | None:
    """The file with a coding's suffix, None if there is none that is as new as the plain one."""
    try:
        beside = mount.open((*names[:-1], names[-1] + codings.SUFFIXES[coding]))
    except NotHereError:
        return None
    # In whole seconds: programs that keep the time of a file do not all keep its fractions.
    if beside.modified_ns // 1_000_000_000 < file.modified_ns // 1_000_000_000:
        beside.close()
        return None
    return beside
