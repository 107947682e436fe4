"""Plans proposed by a model for the `virtualhome` tool, which tries them out before anyone sees them.

Boundary: asks a decoder and cuts its text into steps; nothing here judges a plan.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from dialog.decoder import Decoder, Sample, Sampling
from dialog.dialect import Dialect
from dialog.messages import Message
from dialog.roles import Role
from embodied.evaluate.metrics import plan_steps
from embodied.requests import what_is_asked
from embodied.tool import Propose

TEMPERATURE = 0.8
"""Of plans that are drawn after the likeliest one was of no use."""
ROLE = Role(
    name="planner",
    persona="You write plans for household tasks: numbered steps such as 'Walk to the kitchen.' and 'Grab the cup.'",
)
LONGEST = 1_000
"""Characters of a request that the model is shown."""


def model_proposer(
    decoder: Decoder, dialect: Dialect, *, max_tokens: int = 160, loop: asyncio.AbstractEventLoop | None = None
) -> Propose:
    """A `propose` for `VirtualHome` that asks a model: for one plan by the likeliest token each time, for several by
    sampling.

    A tool runs on an event loop of its own; `loop` is the decoder's, on which it is asked while that runs. The returned
    coroutine raises what `decoder.generate` raises; cancelling it cancels the decoder's work.
    """

    async def ask(request: str, count: int) -> list[Sequence[str]]:
        order = what_is_asked(request) or request
        asked = Message(role="user", content=f"Write a plan to {order[:LONGEST]}, one step a line.")
        sampling = Sampling(
            n=count,
            temperature=TEMPERATURE if count > 1 else 0.0,
            max_tokens=max_tokens,
            stop_token_ids=dialect.stop_token_ids,
            seed=0,
        )
        samples = await decoder.generate(dialect.base_prompt([asked], ROLE), sampling)
        return [whole_steps(sample) for sample in samples]

    async def propose(request: str, count: int = 1) -> Sequence[Sequence[str]]:
        if loop is None or loop is asyncio.get_running_loop() or not loop.is_running():
            return await ask(request, count)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(ask(request, count), loop))

    return propose


def whole_steps(sample: Sample) -> Sequence[str]:
    """The steps of a written plan without one that was cut."""
    steps = plan_steps(sample.text)
    return steps[:-1] if sample.finish_reason == "length" and len(steps) > 1 else steps
