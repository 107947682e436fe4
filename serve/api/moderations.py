"""POST /v1/moderations: the agent's own SAFE discriminator in OpenAI's shape.

It tells safe from unsafe, not one harm from another: `flagged`, and the category `unsafe`, carry its judgement.
OpenAI's own categories are there because clients expect them; that nothing was read for them is what their empty
`category_applied_input_types` say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import islice
from typing import Annotated, Literal
from uuid import uuid4

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from dialog.agent import Agent
from dialog.errors import ContextLengthError, EngineUnavailable, MessageError
from dialog.judge import read_probabilities
from dialog.messages import NO_CONTEXT, Message, check_length, clean_text
from serve.api.answering import admit
from serve.api.errors import ApiError
from serve.api.keys import Caller, CallerDep
from serve.api.live import while_connected
from serve.api.schemas import Reply, Text, unsupported
from serve.api.service import MODEL, Service, ServiceDep

router = APIRouter(tags=["OpenAI"])

MAX_INPUTS = 32

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

    input: Annotated[
        Text | list[Text] | list[InputPart],
        Field(description="A text, several, each with a result of its own, or the parts of one input."),
    ]
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
    body: ModerationRequest, request: Request, response: Response, caller: CallerDep, service: ServiceDep
) -> ModerationReply:
    """Whether texts are safe, each by itself. An input of several parts is as safe as the worst of them."""
    inputs = _inputs(body.input)
    response.headers.update(await admit(service, caller))
    found = iter(await while_connected(request, _judged([text for parts in inputs for text in parts], caller, service)))
    policy = service.slot.agent().policy
    results = []
    for parts in inputs:
        safe = min(islice(found, len(parts)))
        flagged = not policy.passes(safe)
        results.append(
            Moderation(
                flagged=flagged,
                categories={**dict.fromkeys(CATEGORIES, False), "unsafe": flagged},
                category_scores={**dict.fromkeys(CATEGORIES, 0.0), "unsafe": round(1.0 - safe, 6)},
                category_applied_input_types={**{name: [] for name in CATEGORIES}, "unsafe": ["text"]},
            )
        )
    return ModerationReply(id=f"modr-{uuid4().hex}", model=f"{MODEL}-safe", results=results)


async def _judged(texts: Sequence[str], caller: Caller, service: Service) -> list[float]:
    """P(safe) of each text, in a slot and within the deadline. Raises ApiError."""
    agent = service.slot.agent()
    try:
        deadline = asyncio.timeout(service.settings.deadline_seconds)
        async with service.drain.bound(), deadline, service.admission.slot():
            answers = []
            for text in texts:
                answers.append(agent.dialect.answer_ids(clean_text(text)))
                await asyncio.sleep(0)  # other requests go on between long texts
            await service.limits.spend(caller, sum(len(answer) for answer in answers))
            return await safeness(agent, answers)
    except ContextLengthError as error:
        raise ApiError(400, str(error), param="input", code="context_length_exceeded") from error
    except EngineUnavailable:
        service.slot.doubt()
        raise


async def safeness(agent: Agent, answers: Sequence[Sequence[int]]) -> list[float]:
    """P(safe) of each text, given as `answer_ids`, read as a reply to nothing in particular.

    Raises what the decoder raises.
    """
    prompt = agent.dialect.base_prompt([Message(role="user", content=NO_CONTEXT)], agent.role)
    reads = [read for read in agent.dialect.attribute_reads if "safe" in read.pairs]
    whole = [[*prompt, *answer] for answer in answers]
    return [found["safe"] for found in await read_probabilities(agent.decoder, reads, whole)]


def _inputs(given: str | list[str] | list[InputPart]) -> list[list[str]]:
    """The texts of each input that is to have a result. Raises ApiError 400."""
    texts = [given] if isinstance(given, str) else [_text(item, i) for i, item in enumerate(given)]
    if not texts or any(not text.strip() for text in texts):
        raise ApiError(400, "input is empty. Send a text, or a list of texts.", param="input", code="invalid_value")
    if len(texts) > MAX_INPUTS:
        raise ApiError(
            400, f"input has {len(texts)} texts, at most {MAX_INPUTS} are taken.", param="input", code="invalid_value"
        )
    for text in texts:
        try:
            check_length(text, "a text of the input")
        except MessageError as error:
            raise ApiError(400, str(error), param="input", code="invalid_value") from error
    of_parts = isinstance(given, list) and isinstance(given[0], InputPart)
    return [texts] if of_parts else [[text] for text in texts]


def _text(item: str | InputPart, i: int) -> str:
    if isinstance(item, str):
        return item
    if item.type != "text":
        raise unsupported(f"input[{i}].type", item.type, "Only text is judged.")
    return item.text or ""
