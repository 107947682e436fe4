"""The OpenAPI document: complete, and kept to. Schemathesis makes requests from it and breaks them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from serve.api.app import create_app
from serve.settings import load_settings

from .conftest import SCRIPTED, Running, running

DOCUMENT = create_app(load_settings(agent=SCRIPTED, database="sqlite:////tmp/never-opened.db", page=False)).openapi()
schema = schemathesis.openapi.from_dict(json.loads(json.dumps(DOCUMENT)))


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service in a thread with a loop of its own: schemathesis calls it from sync code."""
    path = tmp_path_factory.mktemp("openapi") / "serve.db"
    found: list[Running] = []
    up, end = threading.Event(), threading.Event()

    async def serve() -> None:
        async with running(load_settings(agent=SCRIPTED, database=f"sqlite:///{path}", deadline_seconds=5)) as service:
            found.append(service)
            up.set()
            await asyncio.to_thread(end.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert up.wait(60)
    yield found[0]
    end.set()
    thread.join()


@schema.parametrize()
@settings(
    max_examples=15, deadline=None, derandomize=True, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
def test_no_request_breaks_the_service_and_every_error_has_the_shape(case, live: Running):
    case.headers = {**(case.headers or {}), "Authorization": f"Bearer {live.key}"}
    response = case.call(base_url=live.url)
    case.validate_response(response, checks=(not_a_server_error, response_schema_conformance, status_code_conformance))
    if response.status_code >= 400:
        error = response.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert isinstance(error["code"], str | None)


def test_every_operation_is_described():
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            assert operation.get("description"), (method, path)
            if path.startswith("/v1/"):
                assert operation["security"], (method, path)


def test_every_error_is_declared_with_the_one_shape():
    shape = {"$ref": "#/components/schemas/ErrorResponse"}
    assert not {"HTTPValidationError", "ValidationError"} & DOCUMENT["components"]["schemas"].keys()
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            answers = operation["responses"]
            errors = {code for code in answers if code >= "400"}
            assert {"405", "421", "500"} <= errors, (method, path)
            assert ("401" in errors) == ("security" in operation), (method, path)
            assert ({"408", "413", "415"} <= errors) == ("requestBody" in operation), (method, path)
            for code in errors - ({"503"} if path == "/readyz" else set()):
                assert answers[code]["content"]["application/json"]["schema"] == shape, (method, path, code)
                assert ("headers" in answers[code]) == (code in ("429", "503")), (method, path, code)
    turns = DOCUMENT["paths"]["/v1/turns"]["post"]["responses"]
    assert {"404", "409", "422", "429", "503", "504"} <= turns.keys()
    assert "429" in DOCUMENT["paths"]["/v1/models"]["get"]["responses"]
    assert "504" not in DOCUMENT["paths"]["/v1/models"]["get"]["responses"]
    assert "429" not in DOCUMENT["paths"]["/metrics"]["get"]["responses"]
    assert "403" in DOCUMENT["paths"]["/metrics"]["get"]["responses"]


def test_every_answer_has_a_schema():
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            for code, answer in operation["responses"].items():
                if "application/json" in answer.get("content", {}):
                    assert answer["content"]["application/json"]["schema"], (method, path, code)
    streaming = DOCUMENT["paths"]["/v1/responses"]["post"]["responses"]["200"]["content"]
    assert set(streaming) == {"application/json", "text/event-stream"}


def test_the_reference_is_what_the_app_says():
    from tests.serve.api.reference import render

    page = (Path(__file__).resolve().parents[3] / "docs" / "api.md").read_text()
    assert render() in page, "docs/api.md is out of date: python -m tests.serve.api.reference"
