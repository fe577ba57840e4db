"""A Django project in one file. Serve it with one of

granian-d django_app:asgi --interface asgi --workers 2
granian-d django_app:wsgi --interface wsgi --workers 2
"""

import asyncio
import os

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["localhost", "127.0.0.1"],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.environ.get("SECRET_KEY", "only for trying it out"),
)


def page(request):
    kind = type(request).__name__.removesuffix("Request")
    return HttpResponse(f"<h1>It works.</h1><p>By {kind}, from worker process {os.getpid()}.</p>")


async def together(request):
    """Two things at once; under WSGI Django runs a loop for it."""
    numbers = await asyncio.gather(_later(1), _later(2))
    return JsonResponse({"sum": sum(numbers)})


async def _later(number):
    await asyncio.sleep(0.1)
    return number


urlpatterns = [path("", page), path("together", together)]

asgi = get_asgi_application()
wsgi = get_wsgi_application()
