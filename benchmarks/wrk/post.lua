dofile("benchmarks/wrk/report.lua")

wrk.method = "POST"
wrk.headers["Content-Type"] = "text/plain"
wrk.body = string.rep("0123456789abcdef", 640)
