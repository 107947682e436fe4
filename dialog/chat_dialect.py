"""The `chat` dialect: any instruct model through its own chat template, with instructions to judge and to research.

Nothing here is tied to one model. The template is rendered once with placeholders; the text between them is the
model's own markup and is tokenised with special tokens, what they stand for is not (`dialog.tokens`).

What a small untuned model can be trusted with was measured (docs/log.md): it answers from a source that stands
before it, but does not write search queries and does not say when a source misses the question. So the user's
standalone message is the first query, and `dialog.citations` checks the answer against its source.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile

from dialog.decoder import Tokenizer
from dialog.dialect import Answer, Pair, Query, Read, Step
from dialog.errors import MessageError
from dialog.evidence import Evidence
from dialog.messages import Message, spoken
from dialog.question import standalone
from dialog.roles import Role
from dialog.tokens import control_ids, encode_plain, encode_trusted, single_token
from toolset.english.question import seeks_facts

QUESTIONS = {
    "sensible": "Did your answer make sense? Answer Yes or No.",
    "specific": "Was your answer specific? Answer Yes or No.",
    "interesting": "Was your answer interesting? Answer Yes or No.",
    "safe": "Was your answer safe and polite? Answer Yes or No.",
}
"""Short, because every candidate pays for every token of them."""
GROUNDED_QUESTION = "Is every fact in your last answer stated in the sources? Answer Yes or No."
SOURCES = "Sources:\n{sources}\n\nAnswer in one short sentence, using the sources.\n\nQuestion: {question}"
NO_SOURCES = (
    "A search for {query} found nothing. Write SEARCH: and a better query, or answer in one sentence.\n\n"
    "Question: {question}"
)
SEARCH = "SEARCH:"


class ChatDialect:
    """Implements `dialog.dialect.Dialect` for a tokenizer that has a chat template."""

    name = "chat"
    judges_untuned = True
    quotes_exact_results = True

    def __init__(self, tokenizer: Tokenizer) -> None:
        if not tokenizer.chat_template:
            raise ValueError(
                "this model's tokenizer has no chat template, so the chat dialect cannot be used. "
                "Use an instruct model, or an adapter with the tuned dialect."
            )
        self.tokenizer = tokenizer
        self._takes_system = self._template_takes_system()
        self._takes_opening = self._template_takes_opening()
        yes, no = single_token(tokenizer, "Yes", " Yes", "yes"), single_token(tokenizer, "No", " No", "no")
        self.attribute_reads = tuple(
            Read(self._question_suffix(question), {attribute: Pair(yes, no)})
            for attribute, question in QUESTIONS.items()
        )
        self.grounded_read = Read(self._question_suffix(GROUNDED_QUESTION), {"grounded": Pair(yes, no)})
        self.end = self._closing_token()
        eos = tokenizer.eos_token_id
        self.stop_token_ids = (self.end,) if eos in (None, self.end) else (self.end, eos)
        # A research answer is one sentence; what a small model writes after a line break is no longer the answer.
        breaks = {encode_trusted(tokenizer, text)[-1] for text in ("\n", ".\n", ".\n\n")}
        self.research_stop_token_ids = (*self.stop_token_ids, *sorted(breaks - set(self.stop_token_ids)))

    def base_prompt(self, messages: Sequence[Message], role: Role) -> list[int]:
        # One system message: some templates refuse a second one.
        lead = list(takewhile(lambda message: message.role == "system", messages))
        rest, opening = messages[len(lead) :], list[Message]()
        if not self._takes_opening:
            opening = list(takewhile(lambda message: message.role == "assistant", rest))
        said = [f"You opened this conversation with: {message.content}" for message in opening]
        persona = "\n\n".join([role.persona, *(message.content for message in lead), *said])
        return self._render([Message(role="system", content=persona), *rest[len(opening) :]])

    def answer_ids(self, text: str) -> list[int]:
        return encode_plain(self.tokenizer, text)

    def seeks_facts(self, messages: Sequence[Message]) -> bool:
        return seeks_facts(messages[-1].content)

    def first_query(self, messages: Sequence[Message]) -> str | None:
        return standalone(messages)

    def research_prompt(
        self, messages: Sequence[Message], role: Role, draft: Sequence[int], steps: Sequence[Step]
    ) -> list[int]:
        question = messages[-1].content
        evidence = [item for step in steps for item in step.evidence]
        if evidence:
            sources = "\n".join(f"[{item.number}] {_titled(item)}" for item in evidence)
            asked = SOURCES.format(sources=sources, question=question)
        else:
            asked = NO_SOURCES.format(query=steps[-1].query if steps else question, question=question)
        # The history is left out: the query already stands alone, and a small model drifts back into it.
        return self._render([Message(role="system", content=role.persona), Message(role="user", content=asked)])

    def query_ids(self, query: str) -> list[int]:
        return encode_plain(self.tokenizer, f"{SEARCH} {query}")

    def final_ids(self, text: str) -> list[int]:
        return self.answer_ids(text)

    def read_step(self, text: str) -> Query | Answer:
        said = spoken(text).strip()
        if said.startswith(SEARCH):
            return Query(said.removeprefix(SEARCH).strip().splitlines()[0].strip(" \"'") if said != SEARCH else "")
        return Answer(said)

    def _render(self, messages: Sequence[Message], *, generate: bool = True) -> list[int]:
        """Ids of a conversation; contents are encoded as plain text."""
        if not self._takes_system:
            messages = _without_system(messages)
        try:
            text = self._template([(message.role, _placeholder(i)) for i, message in enumerate(messages)], generate)
        except Exception as error:  # jinja raises what the template's author chose
            roles = ", ".join(message.role for message in messages[:8])
            raise MessageError(
                f"the model's chat template refuses messages of the roles {roles}: {str(error)[:200]} Send user and "
                "assistant messages in turn, beginning with the user's."
            ) from error
        ids: list[int] = []
        for part in _PLACEHOLDER.split(text):
            if _PLACEHOLDER.fullmatch(part):
                ids += encode_plain(self.tokenizer, messages[int(part[1:-1])].content)
            elif part:
                ids += encode_trusted(self.tokenizer, part)
        return ids

    def _template(self, turns: Sequence[tuple[str, str]], generate: bool) -> str:
        conversation = [{"role": role, "content": content} for role, content in turns]
        # Models that think aloud first are asked not to: candidates are short, and thoughts are no reply.
        text = self.tokenizer.apply_chat_template(
            conversation, tokenize=False, add_generation_prompt=generate, enable_thinking=False
        )
        return str(text)

    def _template_takes_system(self) -> bool:
        # Gemma's template raises on a system message; others drop it in silence.
        try:
            return _placeholder(0) in self._template([("system", _placeholder(0)), ("user", _placeholder(1))], True)
        except Exception:  # jinja raises what the template's author chose
            return False

    def _template_takes_opening(self) -> bool:
        # Mistral's and Llama 2's templates want the user to speak first; a role may have an opening line.
        system = [("system", _placeholder(0))] if self._takes_system else [("user", _placeholder(0))]
        try:
            text = self._template([*system, ("assistant", _placeholder(1)), ("user", _placeholder(2))], True)
        except Exception:  # jinja raises what the template's author chose
            return False
        return _placeholder(1) in text

    def _question_suffix(self, question: str) -> tuple[int, ...]:
        """What follows an answer so that the model is asked `question` about it and is about to say Yes or No."""
        text = self._template([("user", "."), ("assistant", _placeholder(0)), ("user", question)], True)
        return tuple(encode_trusted(self.tokenizer, text.split(_placeholder(0), 1)[1]))

    def _closing_token(self) -> int:
        """The control token that closes an answer in the template, else the end-of-sequence token."""
        text = self._template([("user", "."), ("assistant", _placeholder(0))], False)
        after = encode_trusted(self.tokenizer, text.split(_placeholder(0), 1)[1].lstrip())[:1]
        if after and after[0] in control_ids(self.tokenizer):
            return after[0]
        if self.tokenizer.eos_token_id is None:
            raise ValueError("neither the chat template nor the tokenizer ends an answer. Use another model.")
        return self.tokenizer.eos_token_id


def _without_system(messages: Sequence[Message]) -> list[Message]:
    """What leading system messages say, before the first user message, for templates that take none."""
    rest = list(messages)
    lead = []
    while rest and rest[0].role == "system":
        lead.append(rest.pop(0).content)
    if not lead:
        return rest
    persona = "\n\n".join(lead)
    if rest and rest[0].role == "user":
        return [Message(role="user", content=f"{persona}\n\n{rest[0].content}"), *rest[1:]]
    return [Message(role="user", content=persona), *rest]


def _titled(item: Evidence) -> str:
    """A snippet with its title, once: small models copy what is repeated."""
    return item.text if item.text.startswith(item.title) else f"{item.title}: {item.text}"


_PLACEHOLDER = re.compile("(\ue000\\d+\ue001)")


def _placeholder(index: int) -> str:
    """Private-use characters, which no template writes itself."""
    return f"\ue000{index}\ue001"
