"""What an application finds in the unit's sandbox: enough, and no more."""

from __future__ import annotations

import json

import pytest

# Each does what some common library does. What it says of itself is its result or its error.
PROBES = """
import ctypes, json, mmap, multiprocessing, os, socket, sqlite3, subprocess, tempfile, threading
from http.client import HTTPConnection


def callback():
    compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
    numbers = (ctypes.c_int * 3)(3, 1, 2)
    ctypes.CDLL(None).qsort(numbers, 3, 4, compare(lambda a, b: a[0] - b[0]))
    return list(numbers)


def generated_code():
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def extension():
    from pydantic_core import from_json
    return from_json(b"[1]")


def numbers():
    import numpy
    return numpy.linalg.inv(numpy.eye(300) + 1).shape


def postgres():
    import psycopg
    try:
        psycopg.connect("host=127.0.0.1 port=1 connect_timeout=2")
    except psycopg.OperationalError:
        return psycopg.pq.version()


def thread():
    one = threading.Thread(target=int)
    one.start()
    one.join()


def database():
    path = os.path.join(os.environ["STATE_DIRECTORY"], "probe.db")
    with sqlite3.connect(path) as connection:
        connection.execute("create table if not exists t (a)")


def semaphore():
    with multiprocessing.get_context("fork").Lock():
        pass


def temporary_file():
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"x")


def program():
    return subprocess.run(["/bin/echo", "hello"], capture_output=True, check=True).stdout.decode()


def affinity():
    os.sched_setaffinity(0, os.sched_getaffinity(0))


def memory_of_the_machine():
    return open("/proc/meminfo").readline()


def interfaces():
    return socket.if_nameindex() and bool(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close() or 1)


def name_service():
    return socket.getaddrinfo("localhost", 80)[0][4][0]


def connection_to_itself():
    listener = socket.create_server(("127.0.0.1", 0))
    socket.create_connection(listener.getsockname()).close()


def credential():
    return open(os.environ["CREDENTIALS_DIRECTORY"] + "/secret").read()


def compiled_code():
    return __cached__.startswith(os.environ["CACHE_DIRECTORY"])


def own_code():
    open(__file__, "a").close()


def system():
    open("/etc/probe", "w").close()


def others():
    return open("/proc/1/cmdline").read()


def secrets():
    return open("/etc/shadow").read()


def homes():
    assert os.listdir("/root"), "nothing there"


def low_port():
    socket.create_server(("127.0.0.1", 81)).close()


def mount():
    assert ctypes.CDLL(None, use_errno=True).mount(b"x", b"/mnt", b"tmpfs", 0, 0) == 0, "refused"


def new_namespace():
    assert ctypes.CDLL(None, use_errno=True).unshare(0x10000000) == 0, "refused"


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        return await send({"type": "lifespan.shutdown.complete"})
    found = {"user": os.environ["USER"]}
    for name, probe in list(globals().items()):
        if callable(probe) and getattr(probe, "__module__", "") == __name__ and name != "app":
            try:
                found[name] = [True, repr(probe())]
            except (OSError, AssertionError, KeyError, sqlite3.Error) as error:
                found[name] = [False, repr(error)]
    body = json.dumps(found).encode()
    head = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": body})
"""

REFUSED = {
    "own_code",
    "system",
    "others",
    "secrets",
    "homes",
    "low_port",
    "mount",
    "new_namespace",
}
REFUSED_TOO = {
    "": set(),
    "strict": {"affinity", "memory_of_the_machine", "interfaces"},
    "unix-only": {
        "affinity",
        "memory_of_the_machine",
        "interfaces",
        "connection_to_itself",
    },
}


@pytest.mark.parametrize("name", REFUSED_TOO)
def test_what_the_sandbox_refuses_and_nothing_else(make, machine, name):
    service = make(listen=("systemd:http",), workers=1)
    service.deploy(PROBES)
    machine.write(f"/etc/granian/{service.name}.secret", "hush")
    secret = f"LoadCredential=secret:/etc/granian/{service.name}.secret"
    service.drop_in(f"[Service]\n{secret}\n")
    drop_ins = {"": (), "strict": ("strict",), "unix-only": ("strict", "unix-only")}[name]
    for drop_in in ("socket", *drop_ins):
        service.shipped_drop_in(drop_in)
    service.socket_unit(service.socket)
    service.load()
    service.systemctl("start")
    found = service.get(address=f"/run/granian-{service.name}.sock").json
    assert found.pop("user") == f"granian-{service.name}"
    refused = {probe for probe, (worked, _) in found.items() if not worked}
    assert refused == REFUSED | REFUSED_TOO[name], json.dumps(found, indent=1)
    assert found["credential"][1] == "'hush'"
    assert found["compiled_code"][1] == "True"
