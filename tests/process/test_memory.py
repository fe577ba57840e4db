"""Workers share the memory of the runtime they were forked with."""

from __future__ import annotations

import os
import py_compile
from pathlib import Path

import pytest

from tests.process.daemon import Daemon, wait_until

HELLO = (Path(__file__).parents[2] / "examples" / "hello_asgi.py").read_text()
KIB = 1024

# A worker's private memory and the whole tree's PSS, in KiB, for the ASGI hello application.
MOST_PRIVATE = 5 * KIB
MOST_TREE = {1: 24 * KIB, 4: 40 * KIB}


def rollup(pid: int) -> dict[str, int]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {line.split(":")[0]: int(line.split()[1]) for line in lines}


def private(pid: int) -> int:
    figures = rollup(pid)
    return figures["Private_Clean"] + figures["Private_Dirty"]


@pytest.mark.parametrize("workers", [1, 4])
def test_private_memory_and_the_tree(tmp_path, workers, record_property):
    if not os.access("/proc/self/smaps_rollup", os.R_OK):
        pytest.skip("this kernel has no smaps_rollup")
    (tmp_path / "hello_asgi.py").write_text(HELLO)
    py_compile.compile(str(tmp_path / "hello_asgi.py"))  # as after the first start of a service
    arguments = ("hello_asgi:app", "--interface", "asgi", "--port", "0")
    with Daemon(tmp_path, arguments=(*arguments, "--workers", str(workers))) as daemon:
        wait_until(lambda: len(daemon.workers()) == workers)
        daemon.wait_for_log("Started worker-", workers)
        tree = sum(rollup(pid)["Pss"] for pid in (daemon.pid, *daemon.workers()))
        most = max(private(pid) for pid in daemon.workers())
    record_property("tree_pss_kib", tree)
    record_property("worker_private_kib", most)
    assert most <= MOST_PRIVATE
    assert tree <= MOST_TREE[workers]
