dofile("benchmarks/wrk/report.lua")

wrk.headers["Connection"] = "close"
