"""A FastAPI application: JSON, a stream, an upload, state made at start-up."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, StreamingResponse

PAGE = """<!doctype html><title>granian-d</title>
<style>body{font:16px/1.5 system-ui;margin:4rem auto;max-width:40rem}</style>
<h1>It works.</h1>
<p>This page comes from worker process %d.</p>
<ul><li><a href=/json>/json</a><li><a href=/stream>/stream</a><li><a href=/docs>/docs</a></ul>
<p>Edit <code>examples/fastapi_app.py</code>, then <code>kill -HUP %d</code>:
no request is lost.</p>
"""


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, float]]:
    """Run once in each worker, before it takes its first request."""
    yield {"started": time.time()}


app = FastAPI(title="granian-d example", lifespan=lifespan)


@app.get("/", response_class=HTMLResponse)
async def page() -> str:
    return PAGE % (os.getpid(), os.getppid())


@app.get("/json")
async def as_json(request: Request) -> dict[str, float]:
    return {"worker": os.getpid(), "up_s": round(time.time() - request.state.started, 1)}


@app.get("/stream")
async def stream() -> StreamingResponse:
    async def ticks() -> AsyncIterator[str]:
        for number in range(10):
            yield f"tick {number}\n"
            await asyncio.sleep(0.2)

    return StreamingResponse(ticks(), media_type="text/plain")


@app.put("/upload")
async def upload(request: Request) -> dict[str, int]:
    size = 0
    async for part in request.stream():
        size += len(part)
    return {"bytes": size}
