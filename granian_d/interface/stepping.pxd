# What each of them does stands in stepping.py.

cpdef step(coroutine, ended)
cpdef copied(context)
cpdef run_in(context, function, one, two)
cpdef int count_holders(thing) except -1
