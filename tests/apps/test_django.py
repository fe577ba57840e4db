"""What Django's users do beyond the contract, under both of its interfaces."""

from __future__ import annotations

import re

import pytest

from tests.apps.frameworks import DOORS

both = pytest.mark.parametrize(
    ("running", "door"),
    [
        pytest.param((name, DOORS[door]), door, id=f"{name}-{door}")
        for name in ("django-asgi", "django-wsgi")
        for door in ("tcp", "unix")
    ],
    indirect=["running"],
    scope="session",
)


@both
def test_form_with_csrf_protection(site):
    page = site.client.get("/guarded")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)[1]
    cookie = {"cookie": f"csrftoken={page.cookies['csrftoken']}"}
    site.client.cookies.clear()
    fields = {"name": "Jürgen", "csrfmiddlewaretoken": token}
    accepted = site.client.post("/guarded", data=fields, headers=cookie)
    assert accepted.status_code == 200
    assert accepted.json() == {"name": "Jürgen"}
    assert site.client.post("/guarded", data=fields).status_code == 403
    assert site.client.post("/guarded", data={"name": "x"}, headers=cookie).status_code == 403


@both
def test_invalid_form_is_shown_again(site):
    page = site.client.get("/guarded")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)[1]
    fields = {"name": "far too long for this field", "csrfmiddlewaretoken": token}
    again = site.client.post("/guarded", data=fields)
    site.client.cookies.clear()
    assert again.status_code == 200
    assert "errorlist" in again.text


@both
def test_asynchronous_view(site):
    assert site.client.get("/async").json() == {"parts": ["one", "two"]}


@both
def test_foreign_host_is_django_s_to_refuse(site):
    answer = site.client.get("/where", headers={"host": "evil.test"})
    assert answer.status_code == 400
    assert answer.headers["x-site"] == "django"


@both
def test_content_type_and_security_fields(site):
    answer = site.client.get("/page?name=x")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "etag" in answer.headers
