"""Who may use a file: the way there, component by component (path_resolution(7)).

`steps_to` looks, `obstacle` judges: a directory on the way must be searchable, the file itself what
is wanted of it. Access control lists are seen and not read: where there is one, nothing is said.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_LINKS: Final = 40  # as of the kernel
_ACL: Final = "system.posix_acl_access"
_BITS: Final = {"r": 4, "w": 2, "x": 1}
_WORDS: Final = {"r": "read", "w": "write", "x": "enter"}


class Who(NamedTuple):
    """A user, as permissions know him.

    Attributes:
        name: for people.
        uid: None for one that exists while the service does (DynamicUser=).
        gids: his groups.
    """

    name: str
    uid: int | None
    gids: frozenset[int]


class Step(NamedTuple):
    """A component of a path.

    Attributes:
        path: up to it.
        mode: st_mode; 0 where it could not be asked for.
        uid: owner.
        gid: group.
        acl: it has a list of its own beside the mode.
        missing: it is not there.
        unseen: who examines may not look at it.
    """

    path: str
    mode: int = 0
    uid: int = 0
    gid: int = 0
    acl: bool = False
    missing: bool = False
    unseen: bool = False


class Access(NamedTuple):
    """What somebody needs of a path.

    Attributes:
        what: the option or directive that names it.
        path: as named.
        who: the user.
        wants: letters of "rwx".
        steps: the way, as it was found.
    """

    what: str
    path: str
    who: Who
    wants: str
    steps: tuple[Step, ...]


class Obstacle(NamedTuple):
    """The component that is in the way, and what is lacking of it ("" for: all of it)."""

    step: Step
    lacking: str

    @property
    def words(self) -> str:
        """What cannot be done."""
        execute = {} if stat.S_ISDIR(self.step.mode) else {"x": "execute"}
        return " and ".join((_WORDS | execute)[letter] for letter in self.lacking)


def steps_to(path: str) -> tuple[Step, ...]:
    """The components of an absolute path, with what symbolic links put in their place."""
    return tuple(_walk(path))


def _walk(path: str) -> Iterator[Step]:
    left = [part for part in reversed(path.split("/")) if part]
    here, links = "/", 0
    yield _look("/")
    while left:
        part = left.pop()
        here = os.path.normpath(os.path.join(here, part)) if part != "." else here
        step = _look(here)
        if stat.S_ISLNK(step.mode):
            links += 1
            if links > _MOST_LINKS:
                yield step._replace(missing=True)
                return
            target = os.readlink(here)
            left += [each for each in reversed(target.split("/")) if each]
            here = "/" if target.startswith("/") else os.path.dirname(here)
            continue
        yield step
        if step.missing or step.unseen:
            return


def _look(path: str) -> Step:
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return Step(path, missing=True)
    except OSError:
        return Step(path, unseen=True)
    try:
        acl = not stat.S_ISLNK(found.st_mode) and _ACL in os.listxattr(path)
    except OSError:  # a file system without lists
        acl = False
    return Step(path, found.st_mode, found.st_uid, found.st_gid, acl)


def obstacle(access: Access) -> Obstacle | None:
    """What keeps somebody from what he wants; None if nothing does, as far as can be seen."""
    last = len(access.steps) - 1
    for number, step in enumerate(access.steps):
        if step.missing:
            return Obstacle(step, "")
        if step.unseen or step.acl or access.who.uid == 0:
            continue
        wants, bits = access.wants if number == last else "x", _bits(step, access.who)
        if lacking := "".join(letter for letter in wants if not bits & _BITS[letter]):
            return Obstacle(step, lacking)
    return None


def _bits(step: Step, who: Who) -> int:
    """What the mode grants: the owner's, the group's or the others' three bits, and no others."""
    if who.uid == step.uid:
        return step.mode >> 6 & 7
    return (step.mode >> 3 & 7) if step.gid in who.gids else step.mode & 7
