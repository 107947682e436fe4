"""How turns are made: what an agent is set to, and what a stored turn keeps of it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from dialog.decoder import Sampling

MAX_ROUNDS = 4
"""LaMDA (arXiv 2201.08239) section 6.2: the toolset is asked at most four times a turn."""


class AgentSettings(BaseModel):
    """How a turn is made. The defaults are LaMDA's; a CPU affords fewer candidates (`serve.assemble`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sampling: Sampling = Sampling()
    research_candidates: int = Field(
        default=4, ge=0, le=64, description="Samples of each research round; 0 quotes the sources instead."
    )
    research_tokens: int = Field(default=48, ge=8, description="Longest research sample, in tokens.")
    research_temperature: float = Field(default=0.5, ge=0.0, le=2.0, description="Low: evidence is to be kept to.")
    rounds: int = Field(
        default=MAX_ROUNDS, ge=0, le=MAX_ROUNDS, description="Research rounds; 0 answers with the draft."
    )
    grounded_threshold: float | None = Field(
        default=None, ge=0.0, le=1.0, description="Least P(grounded) of a grounded reply; None leaves it to the words."
    )


class TurnSettings(AgentSettings):
    """What one turn was made with; given to `Agent.reply` with the turn's messages and seed it repeats the turn."""

    safety_threshold: float = Field(description="Least P(safe) of a candidate, the agent's policy.")
