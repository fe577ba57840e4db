"""Middleware that serves both kinds of call chain without a thread between them."""

from __future__ import annotations

from asgiref.sync import iscoroutinefunction
from django.utils.decorators import sync_and_async_middleware


@sync_and_async_middleware
def site_field(get_response):
    """Add a field to every response."""
    if iscoroutinefunction(get_response):

        async def call(request):
            response = await get_response(request)
            response["x-site"] = "django"
            return response

    else:

        def call(request):
            response = get_response(request)
            response["x-site"] = "django"
            return response

    return call
