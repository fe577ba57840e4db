"""The listening sockets: opened before any worker, owned by the master, never closed while wanted.

A socket is known by its plan's key. What stays from one plan to the next stays open, so no
connection in its queue is lost; what a failed reload opened is closed again. What we opened
ourselves is offered to the service manager, which keeps it open over a restart of the master.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
from typing import TYPE_CHECKING, Final

from granian_d.errors import ListenError
from granian_d.plan import ListenerPlan
from granian_d.systemd.activation import InheritedSocket, check_listening, is_datagram
from granian_d.systemd.fdstore import listener_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from granian_d.plan import DaemonPlan
    from granian_d.supervisor.datagrams import Datagrams
    from granian_d.systemd.fdstore import FdStore

METRICS: Final = "metrics:"  # begins the key of the listener of metrics, which no worker has
METRICS_BACKLOG: Final = 16


class Listeners:
    """The open ones, by key.

    Args:
        inherited: the sockets that the service manager passed.
        store: where it keeps the others, if it does.
    """

    __slots__ = ("_held", "_inherited", "_inodes", "_kept", "_store")

    def __init__(self, inherited: Sequence[InheritedSocket], store: FdStore | None = None) -> None:
        self._inherited = tuple(inherited)
        self._store = store if store is not None and store.exists else None
        self._held: dict[str, tuple[socket.socket, ...]] = {}
        self._inodes: dict[str, tuple[int, int]] = {}  # of the unix sockets we made, by path
        self._kept: dict[str, str] = {}  # names in the manager's store, by key

    def open(self, plans: Iterable[ListenerPlan]) -> tuple[str, ...]:
        """Open what is not open yet; all of it or nothing.

        Returns:
            The keys that were opened.

        Raises:
            ListenError: one of them cannot be had. The others of this call are closed again.
        """
        wanted = tuple(plans)
        new = tuple(plan.key for plan in wanted if plan.key not in self._held)
        try:
            for plan in wanted:
                self._open_or_adjust(plan)
        except ListenError:
            self._leave(set(self._kept) & set(new))  # the next start may want them
            self.retain(set(self._held) - set(new))
            raise
        return new

    def retain(self, keys: Iterable[str]) -> None:
        """Close all but these; unlink the unix sockets among them that are ours."""
        wanted = set(keys)
        for key in [key for key in self._held if key not in wanted]:
            self._forget(key)
            for sock in self._held.pop(key):
                self._unlink(sock)
                sock.close()

    def leave(self) -> None:
        """The service ends: close all. What the manager keeps is for the next start, with its path;
        where it keeps nothing, that start takes over what is left there.
        """
        self._leave(set(self._kept))
        self.retain(())

    def _leave(self, keys: Iterable[str]) -> None:
        for key in keys:
            del self._kept[key]
            for sock in self._held.pop(key, ()):
                sock.close()

    def keep(self, plans: Iterable[ListenerPlan]) -> None:
        """Offer the manager what we opened for these plans."""
        for plan in plans:
            if self._store is None or plan.kind not in ("tcp", "unix"):
                continue
            name = listener_name(plan.key)
            if (inode := self._inodes.get(plan.path)) is not None:
                name += "@" + _mark(inode)
            if self._kept.get(plan.key) != name:
                self._forget(plan.key)
                self._kept[plan.key] = name
                self._store.put(name, self._held[plan.key][0].fileno())

    def held(self) -> Mapping[str, tuple[socket.socket, ...]]:
        """All that are open, by key."""
        return self._held

    def inodes(self) -> Mapping[str, tuple[int, int]]:
        """Device and inode of the unix sockets that we made, by path."""
        return self._inodes

    def inherited(self) -> tuple[InheritedSocket, ...]:
        """The sockets that the service manager passed."""
        return self._inherited

    def datagrams(self, plan: ListenerPlan) -> list[int]:
        """Descriptors of the UDP sockets that the service manager passed for a listener."""
        if plan.kind != "systemd" or not plan.http3:
            return []
        named = (s for s in self._inherited if plan.name in ("", s.name))
        return [s.fd for s in named if is_datagram(s.fd)]

    def unread(self, plan: DaemonPlan) -> list[str]:
        """Names of the UDP sockets that were passed, and that no listener of a plan reads."""
        read = {fd for listener in plan.listeners for fd in self.datagrams(listener)}
        passed = (s for s in self._inherited if s.fd not in read and is_datagram(s.fd))
        return list(dict.fromkeys(s.name for s in passed))

    def adopt(
        self,
        held: Mapping[str, tuple[socket.socket, ...]],
        inodes: Mapping[str, tuple[int, int]],
    ) -> None:
        """Go on with what this process' last program had open."""
        self._held = dict(held)
        self._inodes = dict(inodes)

    def sockets(self, plans: Iterable[ListenerPlan]) -> tuple[socket.socket, ...]:
        """The sockets of a plan's listeners."""
        return tuple(sock for plan in plans for sock in self._held[plan.key])

    def queued(self) -> int:
        """Connections that wait to be accepted, on TCP: of others the kernel does not tell."""
        tcp = (socket.AF_INET, socket.AF_INET6)
        keys = [key for key in self._held if not key.startswith(METRICS)]
        sockets = [sock for key in keys for sock in self._held[key] if sock.family in tcp]
        return sum(_queue_length(sock) for sock in sockets)

    def close_others(self, plans: Iterable[ListenerPlan]) -> None:
        """In a child: let go of what its plan does not name, without unlinking anything."""
        wanted = {plan.key for plan in plans}
        for key in [key for key in self._held if key not in wanted]:
            for sock in self._held.pop(key):
                sock.close()
        for inherited in self._inherited:
            os.close(inherited.fd)
        self._inherited = ()

    def _open_or_adjust(self, plan: ListenerPlan) -> None:
        try:
            if plan.key in self._held and not self._is_lost(plan):
                self._adjust(plan, self._held[plan.key])
            else:
                fresh = self._open_one(plan)
                for sock in self._held.get(plan.key, ()):
                    sock.close()
                self._held[plan.key] = fresh
        except OSError as error:
            reason = error.strerror or str(error)
            raise ListenError(f"cannot listen on {plan.key}: {reason}") from error

    def _is_lost(self, plan: ListenerPlan) -> bool:
        """A socket whose path was removed or replaced: no client can find it any more."""
        made = self._inodes.get(plan.path)
        return made is not None and made != _inode(plan.path)

    def _adjust(self, plan: ListenerPlan, sockets: Iterable[socket.socket]) -> None:
        """Apply to an open socket what a new plan may change without losing its queue."""
        if plan.path in self._inodes:
            _set_access(plan.path, plan)
        if plan.kind in ("tcp", "unix"):
            for sock in sockets:
                sock.listen(plan.backlog)

    def _open_one(self, plan: ListenerPlan) -> tuple[socket.socket, ...]:
        if plan.kind == "systemd":
            return self._open_inherited(plan)
        if (stored := self._take_stored(plan)) is not None:
            return (stored,)
        open_one = {"tcp": _open_tcp, "unix": self._open_unix, "fd": _open_fd}[plan.kind]
        sock = open_one(plan)
        sock.setblocking(False)
        return (sock,)

    def _take_stored(self, plan: ListenerPlan) -> socket.socket | None:
        """The socket that the manager has kept for this plan, if it still is what is wanted."""
        found = self._store.take(listener_name(plan.key)) if self._store is not None else None
        if found is None or self._store is None:
            return None
        try:
            check_listening(found.fd, plan.key)
            sock = socket.socket(fileno=found.fd)
        except (ListenError, OSError):
            os.close(found.fd)
            self._store.remove(found.name)
            return None
        inode = _inode(plan.path) if plan.kind == "unix" and plan.path[:1] != "@" else None
        if not _fits(sock, plan) or found.mark != ("" if inode is None else _mark(inode)):
            sock.close()
            self._store.remove(found.name)
            return None
        if inode is not None:
            self._inodes[plan.path] = inode
        self._kept[plan.key] = found.name
        sock.setblocking(False)
        self._adjust(plan, (sock,))
        return sock

    def _forget(self, key: str) -> None:
        """Have the manager keep it no more: its duplicate would hold open what we close."""
        name = self._kept.pop(key, None)
        if name is not None and self._store is not None:
            self._store.remove(name)

    def _open_inherited(self, plan: ListenerPlan) -> tuple[socket.socket, ...]:
        named = [s for s in self._inherited if plan.name in ("", s.name)]
        chosen = [s for s in named if not is_datagram(s.fd)]
        if not chosen and not (named and plan.http3):
            kind = "stream socket (ListenStream=)" if named else "socket"
            raise ListenError(f"{plan.key}: the service manager passed no {kind} of that name")
        return tuple(_adopt(s.fd) for s in chosen)

    def _open_unix(self, plan: ListenerPlan) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if plan.path.startswith("@"):
                sock.bind("\0" + plan.path[1:])
                sock.listen(plan.backlog)
            else:
                self._bind_path(sock, plan)
        except BaseException:
            sock.close()
            raise
        return sock

    def _bind_path(self, sock: socket.socket, plan: ListenerPlan) -> None:
        """Bind beside the path and rename over it: nobody meets a socket that is half set up."""
        _refuse_live(plan.path)
        beside = plan.path + "~"
        _refuse_live(beside)
        if os.path.lexists(beside):
            os.unlink(beside)
        sock.bind(beside)
        try:
            _set_access(beside, plan)
            sock.listen(plan.backlog)
            os.rename(beside, plan.path)
        except OSError:
            os.unlink(beside)
            raise
        self._inodes[plan.path] = _inode(plan.path)

    def _unlink(self, sock: socket.socket) -> None:
        """Remove a path we made, unless somebody has put something else there since."""
        # The kernel still names the path that was bound, before the rename.
        name = sock.getsockname() if sock.family == socket.AF_UNIX else ""
        path = name.removesuffix("~") if isinstance(name, str) else ""
        made = self._inodes.pop(path, None)
        if made is None:
            return
        try:
            if made == _inode(path):
                os.unlink(path)
        except OSError:
            return  # it has gone, or may not be removed: the next daemon takes a stale socket over


def all_of(plan: DaemonPlan) -> tuple[ListenerPlan, ...]:
    """All that a plan has opened: the listeners of its workers, and that of metrics.

    The latter has a key of its own kind: a socket is never handed from the one to the other.
    """
    if plan.metrics is None:
        return plan.listeners
    host, port = plan.metrics.address, plan.metrics.port
    metrics = ListenerPlan(
        key=f"{METRICS}[{host}]:{port}" if ":" in host else f"{METRICS}{host}:{port}",
        kind="tcp",
        host=host,
        port=port,
        path="",
        fd=-1,
        name="",
        mode=None,
        uid=None,
        gid=None,
        backlog=METRICS_BACKLOG,
        proxy_protocol=False,
        tls=False,
        http3=False,
    )
    return (*plan.listeners, metrics)


def _queue_length(sock: socket.socket) -> int:
    """Of a listening socket, tcp_info tells it in the field tcpi_unacked; ss(8) shows it, too."""
    facts = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 28)
    return int(struct.unpack_from("=I", facts, 24)[0])


def _fits(sock: socket.socket, plan: ListenerPlan) -> bool:
    """A socket that was kept is bound to the address that is wanted."""
    name = sock.getsockname()
    if plan.kind == "unix":
        path = os.fsdecode(name) if sock.family == socket.AF_UNIX else ""
        wanted = "\0" + plan.path[1:] if plan.path.startswith("@") else plan.path + "~"
        return path == wanted
    family = socket.AF_INET6 if ":" in plan.host else socket.AF_INET
    if sock.family != family or plan.port not in (0, name[1]):
        return False
    return socket.inet_pton(family, name[0]) == socket.inet_pton(family, plan.host)


def _mark(inode: tuple[int, int]) -> str:
    """What tells a unix socket's path from another one of that name."""
    return "{:x}.{:x}".format(*inode)


def _open_tcp(plan: ListenerPlan) -> socket.socket:
    family = socket.AF_INET6 if ":" in plan.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        # A restart must not wait for the TIME_WAIT of the connections before it.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # "[::]" means v6; v4 is a listener of its own, so that both can be counted on.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((plan.host, plan.port))
        sock.listen(plan.backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def _open_fd(plan: ListenerPlan) -> socket.socket:
    check_listening(plan.fd, plan.key)
    return _adopt(plan.fd)


def _adopt(fd: int) -> socket.socket:
    """Our own descriptor of somebody's socket: closing it leaves theirs alone."""
    sock = socket.socket(fileno=os.dup(fd))
    sock.setblocking(False)
    return sock


def _set_access(path: str, plan: ListenerPlan) -> None:
    """Set mode and owner of the socket at `path`, and of nothing that was put in its place."""
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            raise ListenError(f"cannot listen on unix:{path}: it is not a socket any more")
        same = f"/proc/self/fd/{fd}"
        if plan.mode is not None:
            os.chmod(same, plan.mode)
        if plan.uid is not None or plan.gid is not None:
            uid = -1 if plan.uid is None else plan.uid
            gid = -1 if plan.gid is None else plan.gid
            os.chown(same, uid, gid)
    finally:
        os.close(fd)


def _inode(path: str) -> tuple[int, int]:
    """What stands at a path; (0, 0) for nothing."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return (0, 0)
    return (status.st_dev, status.st_ino)


def _refuse_live(path: str) -> None:
    """Raise unless `path` is free, or a socket that nobody listens on any more.

    Raises:
        ListenError: somebody serves on it, or it is no socket at all.
    """
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ListenError(f"cannot listen on unix:{path}: it exists and is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # the queue of a live one may be full
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return
        except BlockingIOError:
            raise ListenError(f"cannot listen on unix:{path}: somebody serves on it") from None
        except OSError as error:
            raise ListenError(f"cannot listen on unix:{path}: {error.strerror}") from error
        credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        owner = struct.unpack("3i", credentials)[0]
    raise ListenError(f"cannot listen on unix:{path}: process {owner} serves on it")


def addresses(
    plan: DaemonPlan, listeners: Listeners, datagrams: Datagrams | None = None
) -> list[str]:
    """Where the workers of a plan are to be found, as people write it."""
    found = []
    for listener in plan.listeners:
        sockets = listeners.sockets([listener])
        if datagrams is not None:
            sockets += datagrams.sockets(listener)
        found += [describe(sock, tls=listener.tls) for sock in sockets]
    return found


def describe(sock: socket.socket, *, tls: bool = False) -> str:
    """The address as people write it: http://127.0.0.1:8000, unix:/run/app.sock; of a UDP socket
    https://127.0.0.1:8000 (HTTP/3).
    """
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        text = os.fsdecode(name)
        return "unix:" + ("@" + text[1:] if text.startswith("\0") else text.removesuffix("~"))
    host, port = name[0], name[1]
    url = f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
    return f"{url} (HTTP/3)" if sock.type == socket.SOCK_DGRAM else url
