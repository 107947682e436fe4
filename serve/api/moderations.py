"""POST /v1/moderations: the agent's own SAFE discriminator in OpenAI's shape.

It tells safe from unsafe, not one harm from another: `flagged`, and the category `unsafe`, carry its judgement.
OpenAI's own categories are there because clients expect them; that nothing was read for them is what their empty
`category_applied_input_types` say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Literal
from uuid import uuid4

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from dialog.agent import Agent
from dialog.judge import read_probabilities
from dialog.messages import Message, clean_text
from serve.api.errors import ApiError
from serve.api.keys import CallerDep
from serve.api.live import while_connected
from serve.api.schemas import Reply, Text, unsupported
from serve.api.service import MODEL, ServiceDep

router = APIRouter(tags=["OpenAI"])

MAX_INPUTS = 32
NO_CONTEXT = "…"
"""The user's message before a text that is judged on its own, as in training (`dialog.finetune`)."""

CATEGORIES = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
    "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip


class InputPart(BaseModel):
    model_config = ConfigDict(extra="ignore")

    type: Text
    text: Text | None = None


class ModerationRequest(BaseModel):
    model_config = ConfigDict(extra="ignore")

    input: Text | list[Text] | list[InputPart]
    model: Text | None = Field(default=None, description="OpenAI's own names are taken too, and mean this one.")


class Moderation(Reply):
    flagged: bool
    categories: dict[str, bool]
    category_scores: dict[str, float] = Field(description="`unsafe` is 1 - P(safe).")
    category_applied_input_types: dict[str, list[Literal["text"]]]


class ModerationReply(Reply):
    id: str
    model: str
    results: list[Moderation]


@router.post("/v1/moderations")
async def moderate(
    body: ModerationRequest, request: Request, caller: CallerDep, service: ServiceDep
) -> ModerationReply:
    """Whether texts are safe, each by itself."""
    texts = _texts(body.input)
    agent = service.slot.agent()
    service.admission.check()
    await service.limits.take(caller)

    async def work() -> list[float]:
        async with asyncio.timeout(service.settings.deadline_seconds), service.admission.slot():
            answers = [agent.dialect.answer_ids(clean_text(text)) for text in texts]
            await service.limits.spend(caller, sum(len(answer) for answer in answers))
            return await safeness(agent, answers)

    found = await while_connected(request, work())
    return ModerationReply(
        id=f"modr-{uuid4().hex}",
        model=f"{MODEL}-safe",
        results=[
            Moderation(
                flagged=not agent.policy.passes(safe),
                categories={**dict.fromkeys(CATEGORIES, False), "unsafe": not agent.policy.passes(safe)},
                category_scores={**dict.fromkeys(CATEGORIES, 0.0), "unsafe": round(1.0 - safe, 6)},
                category_applied_input_types={**{name: [] for name in CATEGORIES}, "unsafe": ["text"]},
            )
            for safe in found
        ],
    )


async def safeness(agent: Agent, answers: Sequence[Sequence[int]]) -> list[float]:
    """P(safe) of each text, given as `answer_ids`, read as a reply to nothing in particular.

    Raises what the decoder raises.
    """
    prompt = agent.dialect.base_prompt([Message(role="user", content=NO_CONTEXT)], agent.role)
    reads = [read for read in agent.dialect.attribute_reads if "safe" in read.pairs]
    whole = [[*prompt, *answer] for answer in answers]
    return [found["safe"] for found in await read_probabilities(agent.decoder, reads, whole)]


def _texts(given: Any) -> list[str]:
    items = [given] if isinstance(given, str) else list(given)
    texts: list[str] = []
    for i, item in enumerate(items):
        if isinstance(item, InputPart):
            if item.type != "text":
                raise unsupported(f"input[{i}].type", item.type, "Only text is judged.")
            item = item.text or ""
        texts.append(item)
    if not texts or any(not text.strip() for text in texts):
        raise ApiError(400, "input is empty. Send a text, or a list of texts.", param="input", code="invalid_value")
    if len(texts) > MAX_INPUTS:
        raise ApiError(
            400, f"input has {len(texts)} texts, at most {MAX_INPUTS} are taken.", param="input", code="invalid_value"
        )
    return texts
