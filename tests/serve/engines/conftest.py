"""One decoder a session for each engine and model: engines take long to start."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
import torch
from transformers import AutoModelForCausalLM

from dialog.decoder import Decoder
from serve.engines import open_decoder

from .tiny import make_gemma3, make_qwen2

MODELS = ("default", "qwen2", "gemma3")
SUBJECTS = [("transformers", model) for model in MODELS]


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


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=SUBJECTS, ids="-".join)
async def subject(
    request: pytest.FixtureRequest,
    model_folder: Callable[[str], Path],
    reference: Callable[[str], Reference],
) -> AsyncIterator[Subject]:
    """Every engine with every model, in float32."""
    engine, model = request.param
    decoder = await open_decoder(
        engine, model_folder(model), model_name=model, revision="test", device="cpu", dtype="float32"
    )
    yield Subject(decoder, reference(model), tolerance=1e-3, exact=engine == "transformers")
    await decoder.aclose()
