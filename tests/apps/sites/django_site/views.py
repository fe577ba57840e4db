"""Views. Those that stream differ with the interface: Django wants iterators of its own kind."""

from __future__ import annotations

import asyncio
import atexit
import hashlib
import os

from django import forms
from django.core.handlers.asgi import ASGIRequest
from django.http import (
    FileResponse,
    HttpResponse,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
    UnreadablePostError,
)
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import etag
from notebook import note, pass_gate, pass_gate_async, shared

note("startup")
atexit.register(note, "shutdown")


def show_json(_request):
    return JsonResponse({"greeting": "grüß dich", "pid": os.getpid()})


def page(request):
    return render(request, "page.html", {"site": "django", "name": request.GET["name"]})


def redirect(_request):
    response = HttpResponseRedirect("/page?name=friend")
    response.status_code = 303
    return response


@csrf_exempt
def echo(request, rest):
    query = [(name, value) for name, values in request.GET.lists() for value in values]
    return JsonResponse({"method": request.method, "path": rest, "query": query})


@csrf_exempt
def form(request):
    return JsonResponse(request.POST.dict())


@csrf_exempt
def upload(request):
    file = request.FILES["file"]
    digest = hashlib.sha256()
    for part in file.chunks():
        digest.update(part)
    return JsonResponse(
        {
            "filename": file.name,
            "size": file.size,
            "sha256": digest.hexdigest(),
            "note": request.POST["note"],
        }
    )


@csrf_exempt
def sink(request):
    digest, size = hashlib.sha256(), 0
    token = request.GET["token"]
    try:
        while part := request.read(65536):
            if not size:
                note(f"sink began {token}")
            digest.update(part)
            size += len(part)
    except UnreadablePostError:
        note(f"sink broken {token}")
        raise
    return JsonResponse({"size": size, "sha256": digest.hexdigest()})


def stream(request):
    count, size = int(request.GET["count"]), int(request.GET["size"])
    parts = [b"%c" % (97 + number % 26) * size for number in range(count)]
    return StreamingHttpResponse(_one_by_one(request, parts), content_type="text/plain")


def relay(request):
    parts = _gated(request, b"before\n", b"after\n")
    return StreamingHttpResponse(parts, content_type="text/plain")


def events(request):
    parts = _gated(request, b"", b"data: now\n\n")
    return StreamingHttpResponse(parts, content_type="text/event-stream")


def endless(request):
    parts = _without_end(request, request.GET["token"])
    return StreamingHttpResponse(parts, content_type="text/plain")


class ThenClose(JsonResponse):
    """A response with work to do once it has been sent."""

    gate = ""

    def close(self):
        super().close()
        pass_gate(self.gate)
        note(f"background done {self.gate}")


@csrf_exempt
def background(request):
    response = ThenClose({"accepted": True}, status=202)
    response.gate = request.GET["gate"]
    return response


def visits(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return JsonResponse({"visits": request.session["visits"]})


def crash(request):
    raise RuntimeError(f"crash on purpose {request.GET['token']}")


def crash_midway(request):
    parts = _broken(request, f"crash on purpose {request.GET['token']}")
    return StreamingHttpResponse(parts, content_type="text/plain")


@etag(lambda _request: '"v1"')
def tagged(_request):
    return HttpResponse(b"tagged content", content_type="text/plain")


def file(request):
    return FileResponse(open(shared(request.GET["name"]), "rb"))


def where(request):
    return JsonResponse(
        {
            "prefix": request.META.get("SCRIPT_NAME", ""),
            "url": reverse("where"),
            "client": request.META.get("REMOTE_ADDR") or None,
            "scheme": request.scheme,
            "forwarded": request.META.get("HTTP_X_FORWARDED_FOR"),
            "host": request.get_host(),
        }
    )


# --- what only Django has ----------------------------------------------------------------------


class Greeting(forms.Form):
    name = forms.CharField(max_length=20)


def guarded(request):
    form = Greeting(request.POST or None)
    if request.method == "POST" and form.is_valid():
        return JsonResponse(form.cleaned_data)
    return render(request, "guarded.html", {"form": form})


async def asynchronous(_request):
    first, second = await asyncio.gather(_later("one"), _later("two"))
    return JsonResponse({"parts": [first, second]})


async def _later(word):
    await asyncio.sleep(0)
    return word


# --- parts, in both colours --------------------------------------------------------------------


def _one_by_one(request, parts):
    async def asynchronously():
        for part in parts:
            yield part

    return asynchronously() if isinstance(request, ASGIRequest) else iter(parts)


def _gated(request, before, after):
    gate = request.GET["gate"]

    async def asynchronously():
        if before:
            yield before
        await pass_gate_async(gate)
        yield after

    def synchronously():
        yield before
        pass_gate(gate)
        yield after

    return asynchronously() if isinstance(request, ASGIRequest) else synchronously()


def _without_end(request, token):
    async def asynchronously():
        try:
            while True:
                yield b"x" * 10_000
        finally:
            note(f"endless ended {token}")

    def synchronously():
        try:
            while True:
                yield b"x" * 10_000
        finally:
            note(f"endless ended {token}")

    return asynchronously() if isinstance(request, ASGIRequest) else synchronously()


def _broken(request, text):
    async def asynchronously():
        yield b"some of it"
        raise RuntimeError(text)

    def synchronously():
        yield b"some of it"
        raise RuntimeError(text)

    return asynchronously() if isinstance(request, ASGIRequest) else synchronously()
