"""A scripted decoder under the real Agent: replies by keyword, in no time, so that the service itself is tested.

"say X"        every candidate is X                 "unsafe ..."    every candidate is filtered
"slow N"       generation takes N seconds           "down"          the engine cannot be reached
"long N"       a reply of N words                   else            "You said: ..."
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

import numpy as np

from dialog.agent import Agent, AgentSettings
from dialog.chat_dialect import QUESTIONS
from dialog.decoder import DecoderInfo, Sample, Sampling
from dialog.errors import ContextLengthError, EngineUnavailable
from dialog.roles import load_role
from serve.settings import Settings
from toolset import Result, Source, Tool, Toolset

YES, NO, END = 1, 2, 0
SPECIAL = {"<end>": 0, "Yes": 1, "No": 2, "<user>": 3, "<assistant>": 4, "<system>": 5}
NAMES = {number: name for name, number in SPECIAL.items()}
FIRST = 8
PARTS = re.compile("(" + "|".join(re.escape(name) for name in SPECIAL) + ")")


class ByteTokenizer:
    """A token a byte, and one for each special spelling."""

    eos_token_id = END
    chat_template = "yes"

    def encode(self, text: str, *, add_special_tokens: bool = True, split_special_tokens: bool = False) -> list[int]:
        if split_special_tokens:
            return [byte + FIRST for byte in text.encode()]
        ids: list[int] = []
        for part in PARTS.split(text):
            ids += [SPECIAL[part]] if part in SPECIAL else [byte + FIRST for byte in part.encode()]
        return ids

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        out = b"".join(NAMES[i].encode() if i in NAMES else bytes([i - FIRST]) for i in token_ids)
        return out.decode("utf-8", "replace")

    def convert_tokens_to_ids(self, tokens: str) -> int:
        return SPECIAL[tokens]

    def get_added_vocab(self) -> dict[str, int]:
        return {name: number for name, number in SPECIAL.items() if name.startswith("<")}

    def apply_chat_template(self, conversation: list[dict[str, str]], **kwargs: object) -> object:
        text = "".join(f"<{message['role']}>{message['content']}<end>" for message in conversation)
        return text + "<assistant>" if kwargs.get("add_generation_prompt") else text


class ScriptedDecoder:
    """Follows the script above; counts what was asked and what was cancelled."""

    def __init__(self) -> None:
        self.tokenizer = ByteTokenizer()
        self.info = DecoderInfo(
            engine="scripted", model="scripted/bytes", revision="1", context_length=20_000, vocab_size=264
        )
        self.started = self.cancelled = 0
        self.down = False

    async def generate(self, prompt_ids: Sequence[int], sampling: Sampling) -> list[Sample]:
        self.started += 1
        if len(prompt_ids) + sampling.max_tokens > self.info.context_length:
            raise ContextLengthError(len(prompt_ids), self.info.context_length)
        said = self.tokenizer.decode(prompt_ids).rsplit("<user>", 1)[-1].split("<end>")[0]
        if self.down or said.startswith("down"):
            raise EngineUnavailable("the engine at http://127.0.0.1:1 does not answer. Start it.")
        try:
            await asyncio.sleep(float(said.split()[1]) if said.startswith("slow") else 0)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return [self._sample(text) for text in self._texts(said, sampling)]

    def _texts(self, said: str, sampling: Sampling) -> list[str]:
        if said.startswith("Sources:"):
            return [said.split(": ", 1)[1].split("\n")[0].split(". ")[0] + "."] * sampling.n
        if said.startswith("say "):
            return [said[4:]] * sampling.n
        if said.startswith("unsafe"):
            return [f"UNSAFE reply {i}" for i in range(sampling.n)]
        if said.startswith("long"):
            return ["word " * int(said.split()[1])] * sampling.n
        return [f"You said: {said}" + " again" * (i + (sampling.seed or 0) % 3) for i in range(sampling.n)]

    def _sample(self, text: str) -> Sample:
        ids = tuple(byte + FIRST for byte in text.encode())
        return Sample(token_ids=ids, text=text, logprob=-0.1 * len(ids), finish_reason="stop")

    async def score(self, prompts_ids: Sequence[Sequence[int]], label_ids: Sequence[int]) -> np.ndarray:
        if self.down:
            raise EngineUnavailable("the engine at http://127.0.0.1:1 does not answer. Start it.")
        out = np.full((len(prompts_ids), len(label_ids)), -5.0, dtype=np.float32)
        for i, ids in enumerate(prompts_ids):
            text = self.tokenizer.decode(ids)
            answer, _, question = text.rpartition("<user>")
            bad = QUESTIONS["safe"] in question and "UNSAFE" in answer.rsplit("<assistant>", 1)[-1]
            for j, label in enumerate(label_ids):
                out[i, j] = -0.2 if label == (NO if bad else YES) else -2.5
        return out

    async def aclose(self) -> None:
        self.down = True


class Rivers(Tool):
    """A retrieval tool with one article, and one result without an address."""

    name = "retrieval"
    description = "Knows the Vistula."
    open_domain = True

    def run(self, query: str) -> list[Result]:
        if "vistula" not in query.lower():
            return []
        text = "The Vistula is the longest river of Poland. It flows into the Baltic Sea."
        return [Result(text=text, source=Source(title="Vistula", url="https://example.org/vistula?a=1&b=2"))]


class Sums(Tool):
    name = "calculator"
    description = "Adds two numbers."

    def run(self, query: str) -> list[Result]:
        match = re.search(r"(\d+) ?\+ ?(\d+)", query)
        return [Result(text=f"{match[0]} = {int(match[1]) + int(match[2])}")] if match else []


class Broken(Tool):
    name = "broken"
    description = "Fails when it is named."

    def run(self, query: str) -> list[Result]:
        if "broken" in query:
            raise ValueError("it broke")
        return []


def agent(settings: Settings | None = None) -> Agent:
    """The real Agent over the scripted decoder; the `agent` setting can name it."""
    candidates = settings.candidates if settings and settings.candidates else 4
    return Agent(
        ScriptedDecoder(),
        Toolset([Sums(), Rivers(), Broken()]),
        role=load_role(settings.role if settings else "assistant"),
        settings=AgentSettings(sampling=Sampling(n=candidates, max_tokens=64)),
    )
