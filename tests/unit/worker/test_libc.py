"""The two forms of `worker.libc` do the same; the interpreted tree tests the one with ctypes."""

from __future__ import annotations

import errno
import mmap
import signal
import subprocess
import sys

import pytest

from granian_d.worker import libc
from granian_d.worker.memory import MADV_DONTNEED


def test_a_refusal_is_an_error_with_its_number() -> None:
    with pytest.raises(OSError, match="Invalid argument") as refusal:
        libc.prctl(1, 12345)  # PR_SET_PDEATHSIG, and no such signal
    assert refusal.value.errno == errno.EINVAL


def test_the_kernel_is_told() -> None:
    code = f"""
import os, signal
from granian_d.worker import libc
pid = os.fork()
if pid == 0:
    read, write = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        libc.prctl(1, {int(signal.SIGUSR1)})
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        os.write(write, b"x")
        info = signal.sigtimedwait([signal.SIGUSR1], 10)
        print("told" if info else "not told", flush=True)
        os._exit(0)
    os.read(read, 1)
    os._exit(0)
os.waitpid(pid, 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "told", done.stderr


def test_advice_about_memory() -> None:
    with mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as page:
        page[:4] = b"here"
        view = memoryview(page)
        address = _address(view)
        assert libc.madvise(address, mmap.PAGESIZE, MADV_DONTNEED)
        assert bytes(view[:4]) == bytes(4)
        assert not libc.madvise(address, mmap.PAGESIZE, 9999)
        view.release()


def _address(view: memoryview) -> int:
    import ctypes

    return ctypes.addressof(ctypes.c_char.from_buffer(view))
