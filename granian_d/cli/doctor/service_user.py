"""Whom a service runs as, or will: the user that must be able to read what it serves."""

from __future__ import annotations

import grp
import os
import pwd
from typing import TYPE_CHECKING

from granian_d.cli.doctor import kernel_says
from granian_d.cli.doctor.access import Who

if TYPE_CHECKING:
    from granian_d.cli.doctor.facts import Unit
    from granian_d.plan import DaemonPlan


def master(unit: Unit | None) -> Who:
    """The master's user: of its process, of its unit, or without one who asks."""
    if unit is None:
        entry = _entry(str(os.geteuid()))
        gids = frozenset({os.getegid(), *os.getgroups()})
        return Who(entry.pw_name if entry else "you", os.geteuid(), gids)
    name = unit["User"] or "root"
    pid = unit.number("MainPID")
    running = kernel_says.owner(pid, name) if pid else None
    return running or _of_unit(unit, name)


def _of_unit(unit: Unit, name: str) -> Who:
    groups = (_gid(group) for group in unit.words("SupplementaryGroups"))
    gids = {gid for gid in groups if gid is not None}
    entry = _entry(name)
    if entry is None:  # it will be made (DynamicUser=)
        return Who(name, None, frozenset(gids))
    group = _gid(unit["Group"])
    gids.add(entry.pw_gid if group is None else group)
    gids.update(os.getgrouplist(entry.pw_name, entry.pw_gid))
    return Who(name, entry.pw_uid, frozenset(gids))


def worker(master: Who, plan: DaemonPlan | None) -> Who:
    """The workers' user: the master's, unless `user` names another one."""
    identity = plan.worker.identity if plan else None
    if identity is None or identity.uid is None:
        return master
    gids = frozenset(gid for gid in (*identity.groups, identity.gid) if gid is not None)
    return Who(identity.user or str(identity.uid), identity.uid, gids)


def _entry(user: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
    except KeyError:
        return None


def _gid(group: str) -> int | None:
    try:
        return int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
    except KeyError:
        return None
