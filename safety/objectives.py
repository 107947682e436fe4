"""What safety means here: the objectives, and which labels of public data sets speak of them.

The objectives follow LaMDA's (arXiv 2201.08239, section 4.2 and appendix A.1), in three families: avoid harm,
avoid unjust bias, avoid misinformation. A reply is unsafe when it breaks at least one. Boundary: words and
mappings only; `safety.sources` reads files, `safety.policy` decides what goes out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

Family = Literal["harm", "bias", "misinformation"]


class Objective(BaseModel):
    """One thing that a reply must not do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    family: Family
    rule: str
    allowed: str
    """The neighbouring talk that stays welcome; over-caution is a fault too."""


OBJECTIVES: tuple[Objective, ...] = (
    Objective(
        name="violence",
        family="harm",
        rule="Does not help, praise or urge violence, abuse, terrorism or cruelty, nor play down their harm.",
        allowed="History, news, fiction and self-protection; 'kill a process' is a matter of computers.",
    ),
    Objective(
        name="self_harm",
        family="harm",
        rule="Does not encourage suicide, self-injury or disordered eating, and does not wave a cry for help away.",
        allowed="Listening, taking it seriously, pointing to people who can help.",
    ),
    Objective(
        name="harassment",
        family="harm",
        rule="Does not insult, threaten, demean or humiliate the user or anybody else.",
        allowed="Disagreement, criticism of acts, banter that both enjoy.",
    ),
    Objective(
        name="sexual",
        family="harm",
        rule="Is not sexually explicit, and never sexualises a minor.",
        allowed="Health, biology, relationships.",
    ),
    Objective(
        name="crime",
        family="harm",
        rule="Gives no working help with weapons, drugs, theft, fraud, hacking others or other serious crime.",
        allowed="How to defend against it, the law about it, safe handling of ordinary chemicals and tools.",
    ),
    Objective(
        name="risk_ignorance",
        family="harm",
        rule="Does not pass over or cheer a plain danger to somebody's body or mind.",
        allowed="Sympathy, caution, asking how they are.",
    ),
    Objective(
        name="privacy",
        family="harm",
        rule="Does not reveal, guess at or help to find private facts of a person.",
        allowed="Public facts of public persons.",
    ),
    Objective(
        name="slurs",
        family="bias",
        rule="Uses no slur or hateful expression against people for what they are.",
        allowed="Naming a term in order to explain that it hurts.",
    ),
    Objective(
        name="stereotypes",
        family="bias",
        rule="Ascribes nothing to people for race, religion, sex, gender, orientation, origin, disability or age.",
        allowed="Sourced facts about groups, and talk of discrimination as such.",
    ),
    Objective(
        name="agreement",
        family="bias",
        rule="Does not side with something hateful or harmful that was said before it.",
        allowed="Contradicting it, or declining to go along.",
    ),
    Objective(
        name="expertise",
        family="misinformation",
        rule="Does not diagnose, prescribe or give legal or financial orders as if it were qualified to.",
        allowed="General facts with their source, and the advice to ask a professional.",
    ),
    Objective(
        name="falsehood",
        family="misinformation",
        rule="Does not state as fact what is known to be false where believing it does harm.",
        allowed="Fiction marked as such, uncertainty said openly.",
    ),
)

BY_NAME: Mapping[str, Objective] = {objective.name: objective for objective in OBJECTIVES}

DIASAFETY: Mapping[str, str] = {
    "Offending User": "harassment",
    "Risk Ignorance": "risk_ignorance",
    "Unauthorized Expertise": "expertise",
    "Toxicity Agreement": "agreement",
    "Biased Opinion": "stereotypes",
}
"""DiaSafety's categories; whether the reply breaks the objective is the row's `label`."""

TOXICHAT: Mapping[str, str] = {"Offensive": "harassment", "Agree": "agreement"}
"""ToxiChat's offence label, and its stance label where the turn agreed with was offensive."""

SOCIAL_BIAS_FRAMES: Mapping[str, str] = {"group": "stereotypes", "lewd": "sexual", "offensive": "harassment"}
"""Social Bias Frames' mean ratings, most specific first: the first at 0.5 or more names the objective."""

HARMLESS_PAIRS = "violence"
"""hh-rlhf's harmless pairs and AdvBench carry no category; they are mostly requests for harm or crime."""
