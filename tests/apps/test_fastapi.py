"""What FastAPI's users do beyond the contract."""

from __future__ import annotations

from tests.apps.frameworks import one

ORDER = {"item": "tea", "count": 2}


@one("fastapi", doors=("tcp", "unix"))
def test_model_and_dependency(site, token):
    answer = site.client.post(f"/orders/7?token={token}", json=ORDER)
    assert answer.json() == {"number": 7, "item": "tea", "count": 2, "resource": "open"}
    site.wait_for_note(f"resource closed {token}")


@one("fastapi")
def test_invalid_model_is_a_422(site, token):
    answer = site.client.post(f"/orders/seven?token={token}", json={"item": "tea", "count": 0})
    assert answer.status_code == 422
    where = [tuple(error["loc"]) for error in answer.json()["detail"]]
    assert where == [("path", "number"), ("body", "count")]


@one("fastapi")
def test_documentation(site):
    assert "swagger" in site.client.get("/docs").text
    paths = site.client.get("/openapi.json").json()["paths"]
    assert {"/json", "/upload", "/orders/{number}"} <= set(paths)


@one("fastapi")
def test_method_that_is_not_allowed(site):
    answer = site.client.delete("/json")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET"
