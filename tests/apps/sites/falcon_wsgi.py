"""Falcon's site as WSGI."""

from falcon_site import wsgi

app = wsgi()
