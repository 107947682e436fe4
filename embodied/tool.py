"""The `virtualhome` tool: household plans that were tried out in a simulated home before they are given.

For a request such as "How do I make coffee?" a model proposes a plan, where there is one to ask; its plan is run in the
simulator, mended where a step fails, and given only where it works and does what was asked. Otherwise the plan is one
that is known to work (`advice`). What is not about the household is "not mine": an empty list, and no model is asked.
Boundary: the world decides what works; this module only chooses and says.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from embodied.advice import known_plan
from embodied.orders import plain_order
from embodied.requests import is_household, what_is_asked
from embodied.telling import Advice
from embodied.trial import try_out
from toolset.tool import Result, Source, Tool

PATIENCE = 8.0
"""Seconds that a model has for its plan: some 80 tokens of the embedded one on a CPU."""
MORE_PLANS = 4
"""Plans that are drawn where the first is of no use and nobody recorded one."""

TOO_LONG, UNREACHABLE = "took too long", "could not be had"

logger = logging.getLogger(__name__)


class Propose(Protocol):
    """A model, or whatever else makes plans."""

    async def __call__(self, request: str, count: int = 1) -> Sequence[Sequence[str]]:
        """`count` plans for a request, each as its steps in plain English or as program lines."""
        ...


class VirtualHome(Tool):
    """The tool. `propose` is asked for a plan first; it may be a model and is never trusted."""

    name = "virtualhome"
    description = (
        "Household how-to: gives step-by-step plans (make coffee, wash clothes, put the milk in the fridge) that were "
        "tried out in a simulated home. Ask for the activity in plain English."
    )
    timeout = 20.0

    def __init__(self, propose: Propose | None = None, *, patience: float = PATIENCE) -> None:
        """`patience` is how many seconds `propose` has each time it is asked; 0 asks it nothing."""
        self.propose = propose
        self.patience = patience

    async def run(self, query: str) -> list[Result]:
        """The plan as one result, or nothing where the request is not about the household or no plan works.

        The source's title says whose plan it is, and what became of the model's where it is another.
        """
        order = what_is_asked(query)
        if order is None:
            return []
        known = await asyncio.to_thread(lambda: known_plan(order) or plain_order(order))
        if known is None and (self.propose is None or not await asyncio.to_thread(is_household, order)):
            return []
        tried = await self._proposed(query, order, known)
        advice = tried if isinstance(tried, Advice) else known
        if advice is None:
            logger.info("no plan: the model's own %s", tried)  # what was asked is somebody's own
            return []
        told = f"{advice.origin}; the model's own plan {tried}" if isinstance(tried, str) and tried else advice.origin
        source = Source(title=f"VirtualHome simulated home, {told}", id=f"virtualhome:{advice.scene.name}")
        return [Result(text=advice.text, source=source)]

    async def _proposed(self, query: str, order: str, known: Advice | None) -> Advice | str:
        """The model's plan where one works, or why the first was refused; empty where no model was asked.

        Where no known plan can stand in, more are drawn: the world tells which of them works.
        """
        tried = await self._ask(query, order, known, 1)
        if known is None and isinstance(tried, str) and tried not in ("", TOO_LONG, UNREACHABLE):
            again = await self._ask(query, order, known, MORE_PLANS)
            return again if isinstance(again, Advice) else tried
        return tried

    async def _ask(self, query: str, order: str, known: Advice | None, count: int) -> Advice | str:
        """The first of `count` plans that works, or why the first of them was refused."""
        if self.propose is None or self.patience <= 0:
            return ""
        try:
            async with asyncio.timeout(self.patience):
                proposals = await self.propose(query, count)
        except TimeoutError:
            return TOO_LONG
        except Exception as error:  # whatever a model comes to, known plans remain
            logger.warning("the model proposed no plan: %s", error)
            return UNREACHABLE
        refused = [""]
        for proposal in proposals:
            tried = await asyncio.to_thread(try_out, order, proposal, known)
            if isinstance(tried, Advice):
                return tried
            refused.append(tried)
        return refused[min(1, len(proposals))]
