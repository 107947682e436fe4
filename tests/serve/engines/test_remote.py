"""The remote engine's view of servers that are not there, not vLLM, or not the right one.

The real `vllm serve` runs in the conformance suite; here a small server answers as such servers do.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dialog.decoder import Sampling
from dialog.errors import AdapterError, EngineUnavailable
from serve.engines import open_decoder
from serve.engines.checks import DecoderInputError
from serve.engines.remote import PROBE
from serve.errors import SettingsError

Answers = dict[str, tuple[int, Any]]


@pytest.fixture
def server() -> Iterator[tuple[str, Answers, list[dict[str, str]]]]:
    """A loopback server: its URL, what it answers by path (status, JSON or text), and the headers it saw."""
    answers: Answers = {}
    seen: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(dict(self.headers))
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, body = answers.get(self.path, (404, {"error": {"message": "no such thing"}}))
            data = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET

        def log_message(self, format: str, *args: Any) -> None: ...

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}", answers, seen
    running.shutdown()
    running.server_close()
    thread.join()


@pytest.fixture
def tokenizer_folder(model_folder: Callable[[str], Path]) -> Path:
    return model_folder("qwen2")


def serve_one(answers: Answers, folder: Path, name: str = "tiny") -> None:
    from transformers import AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(folder).encode(PROBE, add_special_tokens=False)
    answers["/v1/models"] = (200, {"data": [{"id": name, "max_model_len": 512}]})
    answers["/tokenize"] = (200, {"tokens": tokens, "max_model_len": 512})


async def test_nobody_at_the_address(tokenizer_folder: Path) -> None:
    with pytest.raises(EngineUnavailable, match=r"http://127.0.0.1:9 .*Start it with `vllm serve MODEL`"):
        await open_decoder("http://127.0.0.1:9/v1", tokenizer_folder, model_name="m", revision="r")


@pytest.mark.parametrize("models", [(404, {}), (200, "<html>"), (200, {"data": None})])
async def test_another_kind_of_server(server, tokenizer_folder: Path, models: tuple[int, Any]) -> None:
    url, answers, _ = server
    answers["/v1/models"] = models
    with pytest.raises(EngineUnavailable, match="is no vLLM server"):
        await open_decoder(url, tokenizer_folder, model_name="m", revision="r")


async def test_the_key_is_sent_and_its_refusal_named(
    server, tokenizer_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, answers, seen = server
    answers["/v1/models"] = (401, {"error": "Unauthorized"})
    with pytest.raises(EngineUnavailable, match="refused the API key"):
        await open_decoder(url, tokenizer_folder, model_name="m", revision="r", api_key="wrong")
    monkeypatch.setenv("VLLM_API_KEY", "right")
    serve_one(answers, tokenizer_folder)
    decoder = await open_decoder(url, tokenizer_folder, model_name="tiny", revision="r")
    await decoder.aclose()
    assert seen[0]["Authorization"] == "Bearer wrong"
    assert seen[-1]["Authorization"] == "Bearer right"


async def test_another_model_or_tokenizer(server, tokenizer_folder: Path) -> None:
    url, answers, _ = server
    serve_one(answers, tokenizer_folder)
    with pytest.raises(SettingsError, match=r"does not serve 'big'\. It serves tiny"):
        await open_decoder(url, tokenizer_folder, model_name="tiny", revision="r", served_model="big")
    answers["/v1/models"] = (200, {"data": [{"id": "a"}, {"id": "b"}]})
    with pytest.raises(SettingsError, match="Choose served_model among a, b"):
        await open_decoder(url, tokenizer_folder, model_name="tiny", revision="r")
    serve_one(answers, tokenizer_folder)
    answers["/tokenize"] = (200, {"tokens": [1, 2, 3]})
    with pytest.raises(SettingsError, match="another tokenizer"):
        await open_decoder(url, tokenizer_folder, model_name="tiny", revision="r")


async def test_an_adapter_must_be_served(server, tokenizer_folder: Path) -> None:
    url, answers, _ = server
    serve_one(answers, tokenizer_folder)
    with pytest.raises(AdapterError, match=r"--lora-modules kind=PATH"):
        await open_decoder(url, tokenizer_folder, model_name="tiny", revision="r", adapter="adapters/kind")
    answers["/v1/models"] = (200, {"data": [{"id": "tiny"}, {"id": "kind", "max_model_len": 512}]})
    decoder = await open_decoder(url, tokenizer_folder, model_name="tiny", revision="r", adapter="adapters/kind")
    assert decoder.info.adapter == "kind"
    await decoder.aclose()


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (400, DecoderInputError, "refused the request: no such thing"),
        (404, EngineUnavailable, "does not serve 'tiny' any more"),
        (503, EngineUnavailable, "failed with status 503"),
    ],
)
async def test_a_failing_request_names_the_server(
    server, tokenizer_folder: Path, status: int, error: type[Exception], message: str
) -> None:
    url, answers, _ = server
    serve_one(answers, tokenizer_folder)
    decoder = await open_decoder(url, tokenizer_folder, model_name="tiny", revision="r")
    answers["/v1/completions"] = (status, {"error": {"message": "no such thing"}})
    with pytest.raises(error, match=message) as raised:
        await decoder.generate([5, 6], Sampling(n=1, max_tokens=1))
    assert url in str(raised.value)
    await decoder.aclose()
    with pytest.raises(EngineUnavailable, match="was closed"):
        await decoder.score([[5, 6]], [1])


async def test_a_gateway_without_tokenize_will_do(server, tokenizer_folder: Path) -> None:
    url, answers, _ = server
    serve_one(answers, tokenizer_folder)
    del answers["/tokenize"]
    decoder = await open_decoder(f"{url}/v1/", tokenizer_folder, model_name="another name", revision="r")
    assert decoder.info.context_length == 512
    await decoder.aclose()


async def test_credentials_in_the_address_are_used_and_never_shown(server, tokenizer_folder: Path) -> None:
    url, answers, seen = server
    address = f"{url.replace('//', '//me:hunter2@')}/v1?team=hunter3"
    serve_one(answers, tokenizer_folder)
    for path in ("/v1/models", "/tokenize"):
        answers[f"{path}?team=hunter3"] = answers.pop(path)
    decoder = await open_decoder(address, tokenizer_folder, model_name="tiny", revision="r")
    assert seen[-1]["Authorization"] == "Basic bWU6aHVudGVyMg=="
    answers.clear()
    with pytest.raises(EngineUnavailable) as gone:
        await decoder.generate([5, 6], Sampling(n=1, max_tokens=1))
    await decoder.aclose()
    with pytest.raises(EngineUnavailable) as unreachable:
        await open_decoder("http://me:hunter2@127.0.0.1:9", tokenizer_folder, model_name="m", revision="r")
    with pytest.raises(EngineUnavailable) as mistyped:
        await open_decoder("http://me:hun/ter2@127.0.0.1:9", tokenizer_folder, model_name="m", revision="r")
    with pytest.raises(SettingsError) as unknown:
        await open_decoder("htp://me:hunter2@127.0.0.1:9", tokenizer_folder, model_name="m", revision="r")
    for caught in (gone, unreachable, mistyped, unknown):
        assert "ter2" not in str(caught.value)
        assert "hunter3" not in str(caught.value)


async def test_what_clients_see_names_neither_the_server_nor_a_folder(server, tokenizer_folder: Path) -> None:
    url, answers, _ = server
    serve_one(answers, tokenizer_folder, str(tokenizer_folder))
    decoder = await open_decoder(url, tokenizer_folder, model_name=str(tokenizer_folder), revision="r")
    assert (decoder.info.model, decoder.info.device) == (tokenizer_folder.name, "remote")
    await decoder.aclose()
