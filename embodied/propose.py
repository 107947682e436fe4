"""Plans proposed by a model for the `virtualhome` tool, which tries them out before anyone sees them.

Boundary: asks a decoder and cuts its text into steps; nothing here judges a plan.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from dialog.decoder import Decoder, Sampling
from dialog.dialect import Dialect
from dialog.messages import Message
from dialog.roles import Role
from embodied.evaluate.metrics import plan_steps
from embodied.requests import what_is_asked
from embodied.tool import Propose

ROLE = Role(
    name="planner",
    persona="You write plans for household tasks: numbered steps such as 'Walk to the kitchen.' and 'Grab the cup.'",
)
LONGEST = 1_000
"""Characters of a request that the model is shown."""


def model_proposer(
    decoder: Decoder, dialect: Dialect, *, max_tokens: int = 160, loop: asyncio.AbstractEventLoop | None = None
) -> Propose:
    """A `propose` for `VirtualHome` that asks a model, taking the likeliest token each time.

    A tool runs on an event loop of its own; `loop` is the decoder's, on which it is asked while that runs. The returned
    coroutine raises what `decoder.generate` raises; cancelling it cancels the decoder's work.
    """

    async def ask(request: str) -> Sequence[str]:
        order = what_is_asked(request) or request
        asked = Message(role="user", content=f"Write a plan to {order[:LONGEST]}, one step a line.")
        sampling = Sampling(n=1, temperature=0.0, max_tokens=max_tokens, stop_token_ids=dialect.stop_token_ids, seed=0)
        [sample] = await decoder.generate(dialect.base_prompt([asked], ROLE), sampling)
        steps = plan_steps(sample.text)
        return steps[:-1] if sample.finish_reason == "length" and len(steps) > 1 else steps  # the last one is cut

    async def propose(request: str) -> Sequence[str]:
        if loop is None or loop is asyncio.get_running_loop() or not loop.is_running():
            return await ask(request)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(ask(request), loop))

    return propose
