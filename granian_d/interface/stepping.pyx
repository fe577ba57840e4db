"""What stepping.py does, without an exception for an end and without objects for methods."""

from cpython.object cimport PyObject
from cpython.ref cimport Py_REFCNT

from weakref import getweakrefcount


cdef extern from "Python.h":
    ctypedef enum PySendResult:
        PYGEN_ERROR
        PYGEN_RETURN
        PYGEN_NEXT
    PySendResult PyIter_Send(object, object, PyObject**) except PYGEN_ERROR
    void Py_DECREF(PyObject*)
    object PyContext_Copy(object)
    int PyContext_Enter(object) except -1
    int PyContext_Exit(object) except -1


cpdef step(coroutine, ended):
    cdef PyObject* result
    cdef PySendResult said = PyIter_Send(coroutine, None, &result)
    awaited = <object>result
    Py_DECREF(result)  # it was given to us, and is held by `awaited`
    return ended if said == PYGEN_RETURN else awaited


cpdef copied(context):
    return PyContext_Copy(context)


cpdef run_in(context, function, one, two):
    PyContext_Enter(context)
    try:
        return function(one, two)
    finally:
        PyContext_Exit(context)


cpdef int count_holders(thing) except -1:
    cdef int weak = getweakrefcount(thing)
    return Py_REFCNT(thing) + weak
