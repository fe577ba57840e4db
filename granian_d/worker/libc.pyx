"""What libc.py does, without ctypes."""

from libc.errno cimport errno

import os


cdef extern from *:
    """
    #include <sys/mman.h>
    #include <sys/prctl.h>
    #ifdef __GLIBC__
    #include <malloc.h>
    #else
    static int malloc_trim(size_t left) { (void)left; return 0; }
    #endif
    """
    int c_prctl "prctl"(int, unsigned long, unsigned long, unsigned long, unsigned long)
    int c_madvise "madvise"(void*, size_t, int)
    int c_malloc_trim "malloc_trim"(size_t)


def prctl(int option, unsigned long argument):
    if c_prctl(option, argument, 0, 0, 0):
        raise OSError(errno, os.strerror(errno))


def madvise(unsigned long start, size_t size, int advice):
    return c_madvise(<void*>start, size, advice) == 0


def malloc_trim():
    c_malloc_trim(0)
