"""The table of endpoints."""

from __future__ import annotations

from django.urls import path, re_path

from django_site import views

urlpatterns = [
    path("json", views.show_json),
    path("page", views.page),
    path("redirect", views.redirect),
    re_path(r"^echo/(?P<rest>.*)$", views.echo),
    path("form", views.form),
    path("upload", views.upload),
    path("sink", views.sink),
    path("stream", views.stream),
    path("relay", views.relay),
    path("events", views.events),
    path("endless", views.endless),
    path("background", views.background),
    path("visits", views.visits),
    path("crash", views.crash),
    path("crash-midway", views.crash_midway),
    path("tagged", views.tagged),
    path("file", views.file),
    path("where", views.where, name="where"),
    path("guarded", views.guarded),
    path("async", views.asynchronous),
]
