"""The research phase: LaMDA (arXiv 2201.08239), section 6.2.

The model reads the draft, addresses the toolset ("TS, query") for evidence or the user ("User, text") with the
answer, for at most four rounds. What the toolset returns is evidence, never an instruction.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from dialog.citations import Cited, abstains, cite, number, quote, support, whole_sentences
from dialog.decoder import Decoder, Sample, Sampling
from dialog.dialect import Answer, Dialect, Query, Step
from dialog.evidence import Evidence, collect
from dialog.judge import candidate_of
from dialog.messages import Message
from dialog.roles import Role
from dialog.settings import MAX_ROUNDS
from dialog.turn import Candidate
from toolset.tool import ToolCall
from toolset.toolset import Toolset

QUERY_TOKENS = 24
"""Longest query that the model writes, in tokens."""

LONGEST_QUOTE = 1_200
"""Characters up to which a tool's exact result is quoted as it is instead of being put in the model's words."""


@dataclass
class Research:
    """What the phase found. `cited` is None where it has nothing to add to the draft."""

    cited: Cited | None = None
    evidence: list[Evidence] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)
    seeks_facts: bool = False
    answered: bool = False
    """`cited` is the model's own final answer; one without a source counts only where the model leads the research."""
    sampled_tokens: int = 0
    tool_seconds: float = 0.0


async def research(
    decoder: Decoder,
    dialect: Dialect,
    toolset: Toolset,
    messages: Sequence[Message],
    role: Role,
    draft: Sample,
    sampling: Sampling,
    *,
    rounds: int = MAX_ROUNDS,
    quotes: bool = False,
    on_query: Callable[[str], None] = lambda query: None,
) -> Research:
    """Research one turn. Raises what the decoder raises; tools cannot raise.

    `rounds`: how often the toolset is asked at most; what it returned last the model still reads.
    `quotes`: what was found is quoted and not put in the model's words, unless the model leads the research.
    """
    found = Research(seeks_facts=dialect.seeks_facts(messages))
    ask = _asker(toolset, role, found, on_query)
    own = messages[-1].content
    query = dialect.first_query(messages)
    model_leads = query is None
    question = query or own  # "When was it painted?" alone is about nothing
    while True:
        if query:
            await ask(query, query if found.steps or model_leads else own)
            if not found.evidence and not found.seeks_facts:
                return found  # small talk: the draft is the answer
            if exact := _exact_result(dialect, found.evidence):
                found.cited = exact
                return found
        last = len(found.steps) >= rounds
        # Without evidence the model is only asked for a better query: one short sample.
        asks_again = not found.evidence and not model_leads
        if (quotes and not model_leads) or (asks_again and last):
            break
        drawn = sampling.model_copy(update={"n": 1, "max_tokens": QUERY_TOKENS}) if asks_again else sampling
        prompt_ids = _fitting_prompt(
            dialect, messages, role, draft.token_ids, found.steps, decoder.info.context_length - drawn.max_tokens
        )
        if prompt_ids is None:
            break
        samples = await decoder.generate(prompt_ids, drawn)
        found.sampled_tokens += sum(len(sample.token_ids) for sample in samples)
        said = [(sample, dialect.read_step(sample.text)) for sample in samples]
        asked = {step.query for step in found.steps}
        queries = [step.text for _, step in said if isinstance(step, Query) and step.text and step.text not in asked]
        answers = [(sample, step) for sample, step in said if isinstance(step, Answer) and step.text]
        best = _best_answer(answers, found, question)
        if best is not None and (best.grounded or last or not queries):
            found.cited, found.answered = best, best.grounded or model_leads
            break
        if last or not queries:
            break
        query = queries[0]
    return _with_quotation(found, question, model_leads)


def _with_quotation(found: Research, question: str, model_leads: bool) -> Research:
    """`found`, with a quotation where no answer is grounded. A model that leads and says it found none is believed."""
    if not found.evidence or (found.cited and (found.cited.grounded or (model_leads and abstains(found.cited.text)))):
        return found
    if model_leads:  # its queries stand alone, the user's message may not
        question = f"{question} ({found.steps[-1].query})"
    found.cited = quote(found.evidence, question) or found.cited
    return found


def _fitting_prompt(
    dialect: Dialect, messages: Sequence[Message], role: Role, draft: Sequence[int], steps: Sequence[Step], room: int
) -> list[int] | None:
    """The research prompt within `room` tokens: first without the history, then with less evidence, the last first.

    The caller's instructions at the start of the history stay.

    None where even the question alone does not fit.
    """
    steps = list(steps)
    while len(ids := dialect.research_prompt(messages, role, draft, steps)) > room:
        last = next((i for i in reversed(range(len(steps))) if steps[i].evidence), None)
        lead = list(takewhile(lambda message: message.role == "system", messages[:-1]))
        if len(messages) > len(lead) + 1:
            messages = [*lead, messages[-1]]
        elif last is not None:
            steps[last] = steps[last]._replace(evidence=steps[last].evidence[:-1])
        else:
            return None
    return ids


def _asker(
    toolset: Toolset, role: Role, found: Research, on_query: Callable[[str], None]
) -> Callable[[str, str], Awaitable[None]]:
    """A function that asks the allowed tools one query and records what came back."""
    open_domain = {tool.name for tool in toolset.tools if tool.open_domain}
    allowed = [name for name in toolset.names if role.tools is None or name in role.tools]

    async def ask(query: str, own: str) -> None:
        """Tools that search are asked `query`, which stands alone; those that answer only what is theirs read `own`."""
        on_query(query)
        searched = [name for name in allowed if name in open_domain and found.seeks_facts]
        started = time.perf_counter()
        answers = await asyncio.gather(
            toolset.arun(own, only=[name for name in allowed if name not in open_domain]),
            toolset.arun(query, only=searched),
        )
        found.tool_seconds += time.perf_counter() - started
        calls = [call for answer in answers for call in answer.calls]
        calls.sort(key=lambda call: toolset.names.index(call.tool))
        evidence = collect(calls, open_domain, start=len(found.evidence) + 1)
        found.calls.extend(calls)
        found.evidence.extend(evidence)
        found.steps.append(Step(query, tuple(evidence)))

    return ask


def _exact_result(dialect: Dialect, evidence: Sequence[Evidence]) -> Cited | None:
    """The results of tools that answered the query itself, quoted, where the dialect quotes and they are short.

    A calculator's "135 + 7721 = 7856" gains nothing in a small model's words and may lose a digit.
    """
    exact = [item for item in evidence if not item.open_domain]
    if not dialect.quotes_exact_results or not exact or sum(len(item.lines) for item in exact) > LONGEST_QUOTE:
        return None
    return number([(item.lines, item) for item in exact])


def _best_answer(answers: Sequence[tuple[Sample, Answer]], found: Research, question: str) -> Cited | None:
    """The answer that its evidence supports best; every answer goes into the trace."""
    rated: list[tuple[float, Cited, Sample]] = []
    for sample, answer in answers:
        said = whole_sentences(answer.text, sample.finish_reason)
        cited = cite(said, found.evidence, question)
        share = max((support(said, item.text, question, item.title).share for item in found.evidence), default=0.0)
        likelihood = sample.logprob / max(1, len(sample.token_ids))
        rated.append((2.0 * cited.grounded + share + 0.1 * likelihood, cited, sample))
        reason = None if cited.grounded or not found.evidence else "its evidence does not support it"
        found.candidates.append(
            candidate_of(sample, kept=reason is None, reason=reason, phase="research", support=round(share, 4))
        )
    return max(rated, key=lambda item: item[0])[1] if rated else None
