"""Keys, limits, bad requests, headers, metrics, logs and spans."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import suppress

import httpx
import openai
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from serve.api.logs import JsonFormatter
from serve.api.telemetry import Tracer
from serve.errors import SettingsError
from serve.settings import Settings, load_settings

from .conftest import Running, running

HELLO = {"message": "hello"}


async def test_without_a_valid_key_nothing_but_the_probes_answers(service: Running):
    good = service.key
    wrong = good[:-1] + ("A" if good[-1] != "A" else "B")
    revoked = await service.another_key()
    await service.service.store.revoke_key(revoked.split("_")[1])
    paths = [
        (method, path.replace("{", "").replace("}", ""))
        for path, operations in service.app.openapi()["paths"].items()
        for method in operations
        if path not in ("/healthz", "/readyz")
    ]
    assert len(paths) > 20
    async with service.client("") as client:
        for method, path in paths:
            answer = await client.request(method, path, json=None if method == "get" else {})
            assert answer.status_code == 401, (method, path)
            assert answer.json()["error"]["code"] == "missing_api_key"
            assert answer.headers["www-authenticate"] == "Bearer"
    for key in (wrong, revoked, "gl_x", "sk-12345", "é" * 20, "x" * 5000):
        async with service.client("") as client:
            headers = {"Authorization": b"Bearer " + key.encode()}
            answer = await client.post("/v1/turns", json=HELLO, headers=headers)
            assert answer.status_code == 401, key
            assert answer.json()["error"]["code"] == "invalid_api_key"
    async with service.openai() as client:
        with pytest.raises(openai.AuthenticationError):
            await client.with_options(api_key=wrong).models.list()


async def test_keys_are_stored_as_hashes_only(service: Running):
    read = service.service.store.database.read
    rows = await read(lambda connection: connection.exec_driver_sql("SELECT * FROM keys").all())
    secret = service.key.split("_", 2)[2]
    assert secret not in str(rows)


async def test_a_keys_own_request_limit_holds(service: Running):
    key = await service.another_key(requests_per_minute=3)
    service.service.limits.clock = lambda: 1_000_000_010.0  # stays within one minute
    async with service.client(key) as client:
        answers = [await client.post("/v1/turns", json=HELLO) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert [answers[i].headers["x-ratelimit-remaining-requests"] for i in range(3)] == ["2", "1", "0"]
    assert answers[3].json()["error"]["type"] == "rate_limit_error"
    assert 1 <= int(answers[3].headers["retry-after"]) <= 60
    limits = {name: value for name, value in answers[3].headers.items() if name.startswith("x-ratelimit-")}
    assert limits == {
        "x-ratelimit-limit-requests": "3",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": f"{answers[3].headers['retry-after']}s",
    }
    service.service.limits.clock = lambda: 1_000_000_070.0
    async with service.client(key) as client:
        assert (await client.post("/v1/turns", json=HELLO)).status_code == 200


async def test_a_keys_token_limit_holds(service: Running):
    key = await service.another_key(tokens_per_minute=100)
    service.service.limits.clock = lambda: 1_000_000_010.0
    async with service.client(key) as client:
        answers = [await client.post("/v1/turns", json=HELLO) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 429, 429]
    assert answers[1].headers["x-ratelimit-limit-tokens"] == "100"
    assert answers[1].headers["x-ratelimit-remaining-tokens"] == "0"


async def test_bad_bodies_are_refused_in_the_one_shape(service: Running):
    json_type = {"Content-Type": "application/json"}
    deep = b'{"message": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    cases = [
        (b"{", json_type, 400, "invalid_json"),
        (b"", json_type, 400, "invalid_json"),
        (b"[]", json_type, 400, "invalid_json"),
        (b'"text"', json_type, 400, "invalid_json"),
        (b'{"message": "\xff\xfe"}', json_type, 400, "invalid_utf8"),
        (b'{"message": "\\ud800"}', json_type, 400, None),
        (b'{"message": "a\\u0000b"}', json_type, 400, "invalid_value"),
        (deep, json_type, 400, None),
        (b'{"message": "x", "seed": ' + b"9" * 5000 + b"}", json_type, 400, None),
        (b'{"message": "x", "unknown": 1}', json_type, 400, "invalid_value"),
        (b'{"message": "x", "temperature": -Infinity}', json_type, 400, "invalid_value"),
        (b"message=hello", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "unsupported_media_type"),
        (b'{"message": "x"}', {"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
        (b'{"message": "' + b"x" * 10_000_000 + b'"}', json_type, 413, "request_too_large"),
    ]
    async with service.client() as client:
        for body, headers, status, code in cases:
            answer = await client.post("/v1/turns", content=body, headers=headers)
            error = answer.json()["error"]
            assert answer.status_code == status, (body[:40], error)
            assert set(error) == {"message", "type", "param", "code"}
            assert code is None or error["code"] == code, (body[:40], error)

        async def endless():
            for _ in range(2_000):
                yield b"x" * 1_000

        with suppress(httpx.WriteError):  # it may be closed while the client still writes
            answer = await client.post("/v1/turns", content=endless(), headers=json_type)
            assert answer.status_code == 413
        for path in ("/nothing", "/v1/turns/../../etc/passwd", "/v1/turns/%00"):
            assert (await client.get(path)).json()["error"]["type"] == "invalid_request_error"
        assert (await client.put("/v1/turns", json=HELLO)).json()["error"]["code"] == "method_not_allowed"
    assert service.agent.decoder.started == 0  # type: ignore[attr-defined]


async def test_headers_cannot_be_injected(service: Running):
    async with service.client() as client:
        answer = await client.post(
            "/v1/turns", json={"message": "hello", "role": "x\r\nSet-Cookie: a=b"}, headers={"Idempotency-Key": "a b"}
        )
    assert answer.status_code == 400
    assert "set-cookie" not in answer.headers
    reader, writer = await asyncio.open_connection("127.0.0.1", int(service.url.rsplit(":", 1)[1]))
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nBad Header: y\r\n\r\n")
    answered = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    assert answered.startswith(b"HTTP/1.1 400")
    assert b'"code": "invalid_http"' in answered


async def test_clients_that_dawdle_are_cut_off(settings_for: Callable[..., Settings]):
    async with running(settings_for(header_seconds=0.5, body_seconds=0.5)) as service:

        async def send(first: bytes) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(service.url.rsplit(":", 1)[1]))
            writer.write(first)
            answered = await asyncio.wait_for(reader.read(), 5)
            writer.close()
            return answered

        assert await send(b"") == b""
        assert await send(b"GET /healthz HTTP/1.1\r\nHost:") == b""
        head = (
            f"POST /v1/turns HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.key}\r\n"
            "Content-Type: application/json\r\nConnection: close\r\nContent-Length: 50\r\n\r\n{"
        )
        answered = await send(head.encode())
        assert answered.startswith(b"HTTP/1.1 408")
        assert b"request_timeout" in answered
        async with service.client() as client:  # and others were served meanwhile
            assert (await client.post("/v1/turns", json=HELLO)).status_code == 200


async def test_answers_carry_security_headers_and_ids_and_cors_is_closed(service: Running):
    async with service.client() as client:
        answer = await client.post("/v1/turns", json=HELLO, headers={"Origin": "https://evil.example"})
        preflight = await client.options(
            "/v1/turns", headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        )
    for name in ("x-content-type-options", "x-frame-options", "referrer-policy", "content-security-policy"):
        assert answer.headers[name]
    assert answer.headers["x-request-id"].startswith("req_")
    assert answer.headers["cache-control"] == "no-store"
    assert "server" not in answer.headers
    assert "access-control-allow-origin" not in answer.headers
    assert preflight.status_code == 405


async def test_cors_opens_for_a_named_origin_only(settings_for: Callable[..., Settings]):
    async with running(settings_for(cors_origins=("https://app.example",))) as service, service.client() as client:
        allowed = await client.post("/v1/turns", json=HELLO, headers={"Origin": "https://app.example"})
        other = await client.post("/v1/turns", json=HELLO, headers={"Origin": "https://evil.example"})
    assert allowed.headers["access-control-allow-origin"] == "https://app.example"
    assert "access-control-allow-origin" not in other.headers


async def test_without_keys_only_this_machines_pages_are_served(settings_for: Callable[..., Settings]):
    async with running(settings_for(auth=False)) as service, service.client("") as client:
        own = await client.post("/v1/turns", json=HELLO)
        rebound = await client.post("/v1/turns", json=HELLO, headers={"Host": "evil.example"})
    assert own.status_code == 200
    assert rebound.status_code == 421
    with pytest.raises(SettingsError, match="auth is off but host"):
        load_settings(auth=False, host="0.0.0.0")


async def test_metrics_tell_of_turns_filter_tools_queue_and_tokens_to_an_admin(service: Running):
    user = await service.another_key()
    async with service.client() as client, service.client(user) as plain:
        for message in ("hello", "unsafe", "say broken"):
            await client.post("/v1/turns", json={"message": message})
        text = (await client.get("/metrics")).text
        refused = await plain.get("/metrics")
    assert refused.status_code == 403
    assert 'groundling_turns_total{finish_reason="content_filter"} 1.0' in text
    assert 'groundling_turns_total{finish_reason="stop"} 2.0' in text
    assert 'groundling_tool_calls_total{ok="no",tool="broken"} 1.0' in text
    assert 'groundling_candidates_total{kept="no"}' in text
    assert 'groundling_tokens_total{kind="sampled"}' in text
    assert 'groundling_turn_stage_seconds_count{stage="generate"} 3.0' in text
    assert "groundling_turns_running 0.0" in text
    assert "groundling_turns_waiting 0.0" in text
    assert 'groundling_requests_total{method="POST",route="/v1/turns",status="200"} 3.0' in text


async def test_invented_methods_make_no_series_of_their_own(service: Running):
    async with service.client() as client:
        for i in range(3):
            assert (await client.request(f"MADE{i}", "/v1/turns")).status_code == 405
        text = (await client.get("/metrics")).text
    assert "MADE" not in text
    assert 'method="other"' in text


async def test_logs_are_json_and_hold_no_text(service: Running, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.DEBUG):
        async with service.client() as client:
            await client.post("/v1/turns", json={"message": "say a very private thing"})
    lines = [JsonFormatter().format(record) for record in caplog.records]
    access = next(json.loads(line) for line in lines if json.loads(line)["logger"] == "serve.api.access")
    assert access["route"] == "/v1/turns"
    assert access["status"] == 200
    assert access["owner"] == service.key_id
    ours = [line for line in lines if json.loads(line)["logger"].startswith(("serve", "dialog", "toolset"))]
    assert "private" not in "\n".join(ours)
    assert service.key not in "\n".join(lines)
    turn = next(json.loads(line) for line in lines if json.loads(line)["message"] == "turn")
    assert turn["finish_reason"] == "stop"


async def test_text_is_logged_where_that_is_asked_for(
    settings_for: Callable[..., Settings], caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.INFO):
        async with running(settings_for(log_text=True)) as service, service.client() as client:
            await client.post("/v1/turns", json={"message": "say a very private thing"})
    assert any(getattr(record, "reply", None) == "a very private thing" for record in caplog.records)


async def test_turns_are_spans_after_the_genai_conventions(settings_for: Callable[..., Settings]):
    for text in (False, True):
        exporter = InMemorySpanExporter()
        settings = settings_for(trace_text=text)
        async with running(settings, tracer=Tracer(settings, exporter)) as service, service.client() as client:
            await client.post("/v1/turns", json={"message": "say a very private thing and broken"})
            await client.post("/v1/turns", json={"message": "down"})
        spans = {span.name: span for span in exporter.get_finished_spans()}
        turn = next(span for span in exporter.get_finished_spans() if span.attributes.get("gen_ai.response.id"))
        assert turn.name == "chat scripted/bytes"
        assert turn.attributes is not None
        assert turn.attributes["gen_ai.operation.name"] == "chat"
        assert turn.attributes["gen_ai.usage.input_tokens"] > 0  # type: ignore[operator]
        assert turn.attributes["gen_ai.response.finish_reasons"] == ("stop",)
        assert "generate" in spans
        assert spans["execute_tool broken"].attributes["error.type"] == "tool_error"  # type: ignore[index]
        assert any(span.status.status_code.name == "ERROR" for span in exporter.get_finished_spans())
        everything = "".join(span.to_json() for span in exporter.get_finished_spans())
        assert ("private" in everything) == text
