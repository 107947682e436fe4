"""The `Dialect` protocol: how a turn is written as token ids for one kind of model, and how its answers are read.

Three dialects implement it: `chat` (any instruct model through its own chat template), `judged` (the same with trained
discriminators) and `tuned` (the sentinel format, in which everything is trained). Boundary: a dialect makes and reads
token ids; it never calls a decoder or a tool.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

from dialog.decoder import Decoder, Tokenizer
from dialog.evidence import Evidence
from dialog.messages import Message
from dialog.roles import Role

DIALECTS = ("chat", "judged", "tuned")
Attribute = Literal["sensible", "specific", "interesting", "safe"]
ATTRIBUTES: tuple[Attribute, ...] = ("sensible", "specific", "interesting", "safe")


class Pair(NamedTuple):
    """The two label tokens of an attribute; P(attribute) is the softmax over them, shifted by `bias`."""

    yes: int
    no: int
    bias: float = 0.0
    """Nats added to the log-odds of yes; see `dialog.calibration`."""


class Read(NamedTuple):
    """One place where the model's next-token distribution is read.

    The prompt that is read is a prompt's ids + an answer's ids + `suffix`; never text that was tokenised again, so
    that the key-value cache of prompt and answer serves the read.
    """

    suffix: tuple[int, ...]
    pairs: Mapping[str, Pair]


class Query(NamedTuple):
    """The model addressed the toolset ("TS, query")."""

    text: str


class Answer(NamedTuple):
    """The model addressed the user ("User, text")."""

    text: str


class Step(NamedTuple):
    """A research round that is over: what was asked and what came back."""

    query: str
    evidence: tuple[Evidence, ...]


class Dialect(Protocol):
    """See the module; LaMDA (arXiv 2201.08239) section 4 for attributes, section 6 for research."""

    name: str
    end: int
    """The token that closes an answer."""
    stop_token_ids: tuple[int, ...]
    """Tokens that end a candidate."""
    research_stop_token_ids: tuple[int, ...]
    """Tokens that end a research step."""
    attribute_reads: tuple[Read, ...]
    """Reads after base prompt + candidate; together their pairs cover `ATTRIBUTES`."""
    grounded_read: Read
    """Read after research prompt + answer; its only pair is `grounded`."""
    judges_untuned: bool
    """Whether the model was not tuned to judge, so that its P(safe) is calibrated first (`dialog.calibration`)."""
    quotes_exact_results: bool
    """Whether a short result of a tool that answered the query itself is given as it is, without a research sample."""

    def base_prompt(self, messages: Sequence[Message], role: Role) -> list[int]:
        """Ids after which a candidate is sampled."""
        ...

    def answer_ids(self, text: str) -> list[int]:
        """Ids of an answer as the model writes it after the base prompt, without what ends it."""
        ...

    def seeks_facts(self, messages: Sequence[Message]) -> bool:
        """Whether tools that answer any query (retrieval) are worth asking for the last message."""
        ...

    def first_query(self, messages: Sequence[Message]) -> str | None:
        """The toolset's first query, or None where the model writes it."""
        ...

    def research_prompt(
        self, messages: Sequence[Message], role: Role, draft: Sequence[int], steps: Sequence[Step]
    ) -> list[int]:
        """Ids after which the model writes its next research step."""
        ...

    def query_ids(self, query: str) -> list[int]:
        """Ids of a query to the toolset as the model writes it after the research prompt."""
        ...

    def final_ids(self, text: str) -> list[int]:
        """Ids of the final answer as the model writes it after the research prompt."""
        ...

    def read_step(self, text: str) -> Query | Answer:
        """What a research sample says."""
        ...


def choose_dialect(decoder: Decoder, name: str | None = None) -> Dialect:
    """The dialect called `name`, or the one that fits the decoder: `tuned` with an adapter, `chat` without.

    An adapter's card says which dialect it was trained in; who has the card passes its name.
    """
    return make_dialect(decoder.tokenizer, name or ("tuned" if decoder.info.adapter else "chat"))


def make_dialect(tokenizer: Tokenizer, name: str) -> Dialect:
    """The dialect called `name`. Raises ValueError for another name, or a tokenizer that it does not fit."""
    from dialog.chat_dialect import ChatDialect
    from dialog.judged_dialect import JudgedDialect
    from dialog.tuned_dialect import TunedDialect

    known = dict(zip(DIALECTS, (ChatDialect, JudgedDialect, TunedDialect), strict=True))
    if name not in known:
        raise ValueError(f"unknown dialect {name!r}. Use one of {', '.join(DIALECTS)}.")
    return known[name](tokenizer)
