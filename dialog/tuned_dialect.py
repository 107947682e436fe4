"""The `tuned` dialect: the sentinel format that the joint adapter is trained on.

Every part ends with the tokenizer's end-of-sequence token, written `·` here, and begins with a speaker. Text from
outside never contains that token (`dialog.tokens`), so a speaker can only follow it where this module put it.

    Role: {persona}·User: {message}·Agent: {reply}·User: {message}·Agent:          base prompt
    ... Agent: {candidate}·Judge:                                                    one read, all attributes
    ... Agent: {draft}·Research:                                                     research prompt
    ... Agent: {draft}·Research: TS, {query}·Evidence: [1] {title}: {text}·Research: next research prompt
    ... Research: User, {answer}·Grounded:                                           the groundedness read

Each attribute has its own two label tokens, single capital letters, which are one token in every tokenizer met so
far. All of them are read from one next-token distribution, so one read a candidate scores everything.
"""

from __future__ import annotations

from collections.abc import Sequence

from dialog.decoder import Tokenizer
from dialog.dialect import ATTRIBUTES, Answer, Pair, Query, Read, Step
from dialog.messages import Message
from dialog.roles import Role
from dialog.tokens import encode_plain, encode_trusted, single_token

SPEAKERS = {"system": "Role:", "user": "User:", "assistant": "Agent:"}
LABELS = {"sensible": "AB", "specific": "CD", "interesting": "EF", "safe": "GH", "grounded": "IJ"}
"""Each attribute's label tokens: yes, no."""

TOOLSET = "TS,"
USER = "User,"


def label_pairs(tokenizer: Tokenizer) -> dict[str, Pair]:
    """Each attribute's two label tokens."""
    return {
        name: Pair(single_token(tokenizer, f" {yes}", yes), single_token(tokenizer, f" {no}", no))
        for name, (yes, no) in LABELS.items()
    }


class TunedDialect:
    """Implements `dialog.dialect.Dialect`; also what finetuning writes its examples with."""

    name = "tuned"
    judges_untuned = False
    quotes_exact_results = False

    def __init__(self, tokenizer: Tokenizer) -> None:
        if tokenizer.eos_token_id is None:
            raise ValueError("the tokenizer has no end-of-sequence token. Use the chat dialect.")
        self.tokenizer = tokenizer
        self.end = tokenizer.eos_token_id
        self.stop_token_ids = self.research_stop_token_ids = (self.end,)
        pairs = label_pairs(tokenizer)
        self.attribute_reads = (
            Read((self.end, *self._word("Judge:")), {attribute: pairs[attribute] for attribute in ATTRIBUTES}),
        )
        self.grounded_read = Read((self.end, *self._word("Grounded:")), {"grounded": pairs["grounded"]})

    def base_prompt(self, messages: Sequence[Message], role: Role) -> list[int]:
        start = [self.tokenizer.bos_token_id] if self._starts_with_bos() else []
        ids = [*start, *self._part("Role:", role.persona)]
        for message in messages:
            ids += self._part(SPEAKERS[message.role], message.content)
        return [*ids, *self._word("Agent:")]

    def answer_ids(self, text: str) -> list[int]:
        """Ids of an answer as the model writes it after `Agent:`; with `stop_token_ids` what generation is taught."""
        return encode_plain(self.tokenizer, f" {text}")

    def seeks_facts(self, messages: Sequence[Message]) -> bool:
        return True  # the model decides by addressing the toolset or the user

    def first_query(self, messages: Sequence[Message]) -> str | None:
        return None

    def research_prompt(
        self, messages: Sequence[Message], role: Role, draft: Sequence[int], steps: Sequence[Step]
    ) -> list[int]:
        ids = [*self.base_prompt(messages, role), *draft, self.end, *self._word("Research:")]
        for step in steps:
            ids += [*self.query_ids(step.query), self.end, *self._word("Evidence:")]
            for item in step.evidence:
                ids += encode_plain(self.tokenizer, f" [{item.number}] {item.title}: {item.text}")
            ids += [self.end, *self._word("Research:")]
        return ids

    def query_ids(self, query: str) -> list[int]:
        return encode_plain(self.tokenizer, f" {TOOLSET} {query}")

    def final_ids(self, text: str) -> list[int]:
        return encode_plain(self.tokenizer, f" {USER} {text}")

    def read_step(self, text: str) -> Query | Answer:
        said = text.strip()
        if said.startswith(TOOLSET):
            return Query(said.removeprefix(TOOLSET).strip())
        return Answer(said.removeprefix(USER).strip())

    def _word(self, word: str) -> list[int]:
        return encode_trusted(self.tokenizer, word)

    def _part(self, speaker: str, text: str) -> list[int]:
        return [*self._word(speaker), *encode_plain(self.tokenizer, f" {text}"), self.end]

    def _starts_with_bos(self) -> bool:
        # Some models (Gemma) fall apart without their first token; the tokenizer says whether it adds one.
        return self.tokenizer.bos_token_id is not None and self.tokenizer.encode("a")[:1] == [
            self.tokenizer.bos_token_id
        ]
