"""Records as token ids, with what is taught where.

Everything is written by the dialect itself, so that what is trained on is what the turn will send, id by id.
Loss falls only on what a task teaches: the reply, the research step, the text; for discriminators only the choice
between an attribute's two label tokens at the judge position (LaMDA, arXiv 2201.08239, section 5.1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import NamedTuple

from dialog.decoder import Tokenizer
from dialog.dialect import Attribute, Dialect, Pair, Step
from dialog.errors import FinetuneError, RecordError
from dialog.evidence import MAX_CHARS, Evidence, harmless
from dialog.finetune.records import (
    Discrimination,
    Generation,
    Groundedness,
    Judged,
    PlainText,
    Preference,
    ResearchRecord,
    Snippet,
    TrainingRecord,
)
from dialog.history import newest_turns
from dialog.messages import NO_CONTEXT, Message
from dialog.roles import Role, load_role
from dialog.tokens import encode_plain
from dialog.tuned_dialect import TunedDialect


class LabelTarget(NamedTuple):
    """At `position` the next token is a label: `rating` is the wanted P(yes) within the pair."""

    position: int
    pair: Pair
    rating: float


@dataclass(frozen=True)
class Example:
    """One sequence and its targets."""

    ids: tuple[int, ...]
    taught: tuple[bool, ...] = ()
    """Per id: whether predicting it is taught. Empty: none is."""
    labels: tuple[LabelTarget, ...] = ()
    rival: Example | None = field(default=None, repr=False)
    """A preference's worse reply; its only label target is compared with this example's."""

    @property
    def length(self) -> int:
        """Tokens that this example costs."""
        return len(self.ids) + (len(self.rival.ids) if self.rival else 0)

    @property
    def width(self) -> int:
        """Tokens of its longer row."""
        return max(len(self.ids), len(self.rival.ids) if self.rival else 0)


class ExampleWriter:
    """Writes examples for one tokenizer, up to `max_tokens` long."""

    def __init__(
        self, tokenizer: Tokenizer, *, max_tokens: int, role: Role | None = None, dialect: Dialect | None = None
    ) -> None:
        self.dialect = dialect or TunedDialect(tokenizer)
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self.role = role or load_role("assistant")
        self.end = self.dialect.end
        self.judge = self.dialect.attribute_reads[0]
        self.grounded = self.dialect.grounded_read
        self.shortened = 0
        """Snippets so far that were cut to what a turn reads of one."""

    def write(self, record: TrainingRecord) -> list[Example]:
        """The examples of a record; a research record gives one per step that the model writes, each ending where it
        stops: in the dialects that ask the toolset by rule the answer alone, and none where there is no evidence.

        Old turns are dropped where a context is too long, as a turn drops them. Raises RecordError where even the last
        does not fit, MessageError where the model's chat template refuses the context.
        """
        match record:
            case Generation():
                prompt = self._prompt(record.context, self._reply(record.response))
                return [self._taught(prompt, self._reply(record.response))]
            case Discrimination():
                return [self._judged(record.context, record.response, {record.attribute: record.rating})]
            case Judged():
                return [self._judged(record.context, record.response, record.ratings)]
            case Preference():
                chosen = self._judged(record.context, record.chosen, {record.attribute: 1.0})
                rejected = self._judged(record.context, record.rejected, {record.attribute: 0.0})
                return [Example(ids=chosen.ids, labels=chosen.labels, rival=rejected)]
            case Groundedness():
                return [self._grounded(record)]
            case ResearchRecord():
                return self._research(record)
            case PlainText():
                return self._text(record.text)

    def _reply(self, text: str) -> list[int]:
        return [*self.dialect.answer_ids(text), self.end]

    def _prompt(self, context: Sequence[Message], tail: Sequence[int]) -> list[int]:
        """The base prompt of the newest turns that fit together with `tail`, as a turn would send it."""
        return self._fitted(context, tail, lambda kept: self.dialect.base_prompt(kept, self.role))

    def _fitted(
        self, context: Sequence[Message], tail: Sequence[int], write: Callable[[list[Message]], list[int]]
    ) -> list[int]:
        messages = list(context) or [Message(role="user", content=NO_CONTEXT)]
        lead = [*takewhile(lambda message: message.role == "system", messages)]
        _, prompt = newest_turns(lead, messages[len(lead) :], write, self.max_tokens - len(tail))
        self._check(len(prompt) + len(tail))
        return prompt

    def _taught(self, prompt: Sequence[int], answer: Sequence[int]) -> Example:
        return Example(ids=(*prompt, *answer), taught=(False,) * len(prompt) + (True,) * len(answer))

    def _judged(self, context: Sequence[Message], response: str, ratings: Mapping[Attribute, float]) -> Example:
        self._check_judges()
        tail = [*self.dialect.answer_ids(response), *self.judge.suffix]
        ids = (*self._prompt(context, tail), *tail)
        targets = tuple(LabelTarget(len(ids) - 1, self.judge.pairs[name], rating) for name, rating in ratings.items())
        return Example(ids=ids, labels=targets)

    def _check_judges(self) -> None:
        if self.dialect.judges_untuned:
            raise FinetuneError(
                f"a judged record cannot be taught in dialect {self.dialect.name!r}, whose judge is not trained. "
                "Set dialect: judged, or leave the task out."
            )

    def _grounded(self, record: Groundedness) -> Example:
        self._check_judges()
        question = record.context[-1].content if record.context else NO_CONTEXT
        step = Step(question, self._evidence([Snippet(text=record.knowledge)]))
        return self._read_grounded(record.context, step, record.response, record.grounded)

    def _read_grounded(self, context: Sequence[Message], step: Step, response: str, rating: float) -> Example:
        # The draft stands where it does in a turn; here the reply itself is the draft.
        answer = self.dialect.answer_ids(response)
        tail = [*answer, *self.grounded.suffix]
        prompt = self._fitted(
            context, tail, lambda kept: self.dialect.research_prompt(kept, self.role, answer, [step])
        )  # fmt: skip
        ids = (*prompt, *tail)
        return Example(ids=ids, labels=(LabelTarget(len(ids) - 1, self.grounded.pairs["grounded"], rating),))

    def _research(self, record: ResearchRecord) -> list[Example]:
        # Where a rule asks the toolset first, the model writes neither a query nor an answer without evidence.
        model_leads = self.dialect.first_query(record.context) is None
        draft = self.dialect.answer_ids(record.base)
        done: list[Step] = []
        examples: list[Example] = []
        start = 1
        for step in record.steps:
            if model_leads:
                examples.append(self._researched(record, draft, done, self.dialect.query_ids(step.query)))
            found = self._evidence(step.evidence, start)
            start += len(found)
            done.append(Step(step.query, found))
        if model_leads or start > 1:
            examples.append(self._researched(record, draft, done, self.dialect.final_ids(record.final)))
        return examples

    def _researched(
        self, record: ResearchRecord, draft: Sequence[int], done: Sequence[Step], written: Sequence[int]
    ) -> Example:
        """What the model writes next in its research. A history that does not fit is left out whole, as in a turn."""
        answer = [*written, self.end]

        def prompt_of(context: Sequence[Message]) -> list[int]:
            return self.dialect.research_prompt(context, self.role, draft, done)

        prompt = prompt_of(record.context)
        if len(prompt) + len(answer) > self.max_tokens:
            lead = [*takewhile(lambda message: message.role == "system", record.context[:-1])]
            prompt = prompt_of([*lead, record.context[-1]])
            self._check(len(prompt) + len(answer))
        return self._taught(prompt, answer)

    def _evidence(self, snippets: Sequence[Snippet], start: int = 1) -> tuple[Evidence, ...]:
        self.shortened += sum(len(" ".join(one.text.split())) > MAX_CHARS for one in snippets)
        return evidence_of(snippets, start)

    def _text(self, text: str) -> list[Example]:
        ids = encode_plain(self.tokenizer, text)
        chunks = [ids[i : i + self.max_tokens] for i in range(0, len(ids), self.max_tokens)]
        return [
            Example(ids=tuple(chunk), taught=(False,) + (True,) * (len(chunk) - 1))
            for chunk in chunks
            if len(chunk) > 1
        ]

    def _check(self, tokens: int) -> None:
        if tokens > self.max_tokens:
            raise RecordError(
                f"a record needs {tokens} tokens with its last turn alone, but max_tokens is {self.max_tokens}. "
                "Raise max_tokens, or set too_long: skip."
            )


def evidence_of(snippets: Iterable[Snippet], start: int = 1) -> tuple[Evidence, ...]:
    """Snippets numbered as the turn numbers them, and as harmless."""
    return tuple(
        Evidence(
            number=start + i,
            text=harmless(snippet.text),
            title=harmless(snippet.title),
            url=None,
            id=snippet.id,
            tool="retrieval",
            open_domain=True,
        )
        for i, snippet in enumerate(snippets)
    )
