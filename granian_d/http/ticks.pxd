# What it does stands in ticks.py.

cpdef long long now_ns() noexcept
