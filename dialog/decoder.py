"""The `Decoder` protocol: what an engine must do for the dialog.

Boundary: a decoder works on token ids. It knows nothing of roles, attributes or tools, and `dialog/` never
imports an engine; engines in `serve/engines/` implement this protocol and share one conformance suite
(`tests/serve/engines/`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

FinishReason = Literal["stop", "length"]


class Sampling(BaseModel):
    """How candidates are sampled; the defaults are LaMDA's (arXiv 2201.08239, section 3: 16 candidates, top-k 40)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n: int = Field(default=16, ge=1, le=256, description="Independent samples.")
    max_tokens: int = Field(default=96, ge=1, description="Longest sample, in tokens.")
    temperature: float = Field(default=1.0, ge=0.0, le=2.0, description="0 takes the most likely token each time.")
    top_k: int = Field(default=40, ge=0, description="Sample among the k most likely tokens; 0 among all.")
    top_p: float = Field(default=1.0, gt=0.0, le=1.0, description="Nucleus mass.")
    seed: int | None = Field(default=None, ge=0, lt=2**63, description="Equal seeds repeat a call exactly.")
    stop_token_ids: tuple[int, ...] = Field(
        default=(), description="Tokens that end a sample; they are not part of it."
    )


class Sample(BaseModel):
    """One sampled continuation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token_ids: tuple[int, ...] = Field(description="The continuation's ids, without the stop token.")
    text: str
    logprob: float = Field(
        description="Sum of the sampled tokens' log-probabilities under the model, in nats, stop token included."
    )
    finish_reason: FinishReason


class DecoderInfo(BaseModel):
    """What a decoder is, for traces, cards and error messages."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: str = Field(description="transformers, vllm or remote")
    model: str
    revision: str = Field(description="What pins the weights: a hash or a commit.")
    context_length: int = Field(description="Longest prompt plus continuation, in tokens.")
    vocab_size: int
    adapter: str | None = None
    device: str = "cpu"


class Tokenizer(Protocol):
    """The part of a `transformers` tokenizer that dialects use."""

    @property
    def eos_token_id(self) -> int | None: ...
    @property
    def chat_template(self) -> object: ...
    @property
    def bos_token_id(self) -> int | None: ...
    def encode(
        self, text: str, *, add_special_tokens: bool = True, split_special_tokens: bool = False
    ) -> list[int]: ...
    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool = False) -> str: ...
    def convert_tokens_to_ids(self, tokens: str) -> int: ...
    def get_added_vocab(self) -> dict[str, int]: ...
    def apply_chat_template(self, conversation: list[dict[str, str]], **kwargs: object) -> object: ...


@runtime_checkable
class Decoder(Protocol):
    """Samples continuations and reads next-token log-probabilities. All calls may run concurrently.

    Cancelling the awaiting task frees the engine's work for that call.
    """

    @property
    def info(self) -> DecoderInfo: ...

    @property
    def tokenizer(self) -> Tokenizer: ...

    async def generate(self, prompt_ids: Sequence[int], sampling: Sampling) -> list[Sample]:
        """Sample `sampling.n` continuations of one prompt.

        Raises ContextLengthError where the prompt plus `max_tokens` does not fit, EngineUnavailable where the
        engine cannot be reached.
        """
        ...

    async def score(self, prompts_ids: Sequence[Sequence[int]], label_ids: Sequence[int]) -> NDArray[np.float32]:
        """Log-probabilities of each label as the next token of each prompt.

        Returns an array [len(prompts_ids), len(label_ids)] in nats, normalised over the whole vocabulary at
        temperature 1; whoever asks renormalises over the labels. Prompts may share prefixes with each other and with
        earlier `generate` calls: engines reuse what they computed. Same errors as `generate`.
        """
        ...

    async def aclose(self) -> None:
        """Free the engine. Further calls raise EngineUnavailable."""
        ...
