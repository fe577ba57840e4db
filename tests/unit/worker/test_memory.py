"""Making memory cheap to share; in processes of their own, since it cannot be undone."""

from __future__ import annotations

import subprocess
import sys

from granian_d.worker import memory

PRELUDE = """
import gc, os, ssl, hashlib
import uvloop
from granian_d.worker import memory
"""


def run(code: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + code], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_the_heap_is_frozen():
    frozen, left = map(
        int,
        run("memory.share(); print(gc.get_freeze_count(), len(gc.get_objects()))"),
    )
    assert frozen > 5000
    assert left < 100


def test_garbage_is_not_frozen():
    """What nobody needs must not be kept for ever by the freeze."""
    code = """
class Node: pass
gc.disable()
nodes = [Node() for _ in range(2)]
nodes[0].other, nodes[1].other = nodes[1], nodes[0]
import weakref
gone = weakref.ref(nodes[0])
del nodes
memory.share()
print(gone() is None, gc.isenabled())
"""
    assert run(code) == ["True", "False"]


def test_code_whose_pages_were_dropped_still_runs():
    """OpenSSL's pages come back from the page cache when they are needed after all."""
    code = """
memory.share()
context = ssl.create_default_context()
digest = hashlib.new("sha256", b"x").hexdigest()
loop = uvloop.new_event_loop()
loop.run_until_complete(loop.run_in_executor(None, int))
loop.run_until_complete(loop.shutdown_default_executor())
loop.close()
print(digest[:8])
"""
    assert run(code) == ["2d711642"]


def test_what_has_been_written_is_left_alone():
    """The linker's tables look like constants, and would be lost with their pages."""
    smaps = """7f00-7f10 r--p 00001000 fe:00 1234  /usr/lib/libcrypto.so.3
Size:                 64 kB
Anonymous:            {anonymous} kB
7f10-7f20 rw-p 00011000 fe:00 1234  /usr/lib/libcrypto.so.3
Anonymous:            0 kB
"""
    for anonymous, count in ((0, 1), (4, 0)):
        lines = smaps.format(anonymous=anonymous).splitlines(keepends=True)
        found = [match.groups() for match in memory._untouched(lines)]
        assert found == [("7f00", "7f10", "/usr/lib/libcrypto.so.3")] * count


def test_a_child_collects_its_own_garbage_and_not_the_frozen_heap():
    code = """
memory.share()
before = gc.get_freeze_count()
pid = os.fork()
if pid == 0:
    class Node: pass
    node = Node(); node.itself = node
    del node
    found = gc.collect()
    # A few frozen objects die, as they do anywhere; none is thawed.
    print(found > 0, before - gc.get_freeze_count() < 100, flush=True)
    os._exit(0)
os.waitpid(pid, 0)
"""
    assert run(code) == ["True", "True"]


def test_the_mappings_it_looks_for_exist():
    """Names of libraries are facts about others: here they are compared with this machine."""
    code = """
from granian_d.worker import dispatch
from granian_d.engine import choose
choose.choose("auto", "h1")
files = {match[3] for match in memory._untouched(open("/proc/self/smaps"))}
print(any(memory._LOOP in file for file in files))
print(any(memory._HOT.search(file) for file in files), dispatch.__file__.endswith(".so"))
"""
    loop, hot, compiled = run(code)
    assert loop == "True"
    assert hot == compiled
