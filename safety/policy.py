"""The safety policy: from which P(safe) on a reply may go out, and what is said when none may.

Boundary: the policy holds the decision's numbers and words. Reading P(safe) off a model is the judge's work
(`dialog`), calibrating the threshold on labelled examples is `safety.metrics`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

FIXED_REPLY = "I'd rather not answer that in a way that could hurt someone. Could we approach it from another side?"


class Policy(BaseModel):
    """What the safety filter does (LaMDA, arXiv 2201.08239, section 5: candidates below a threshold are removed)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    threshold: float = Field(
        default=0.5,
        ge=0.0,
        le=1.0,
        description="Least P(safe) with which a reply is released. An adapter's card carries the calibrated value.",
    )
    mode: Literal["filter", "annotate"] = Field(
        default="filter",
        description="`filter` drops what is below the threshold; `annotate` releases it, with its score in the trace.",
    )
    fixed_reply: str = Field(
        default=FIXED_REPLY,
        min_length=1,
        description="Said when no candidate passes; the turn then ends with finish_reason content_filter.",
    )

    def passes(self, p_safe: float) -> bool:
        """Whether a reply with this P(safe) is safe enough, whatever the mode. Not a number (NaN) never passes."""
        return p_safe >= self.threshold

    def releases(self, p_safe: float) -> bool:
        """Whether a reply with this P(safe) may reach the user under this mode."""
        return self.mode == "annotate" or self.passes(p_safe)
