"""The agent: one turn from messages to a filtered, ranked, researched and cited reply.

    messages ─► base prompt ─► n candidates ─► judge: filter, rank ─► best draft ─► research ─► check ─► Turn

Nothing reaches the caller before it passed the filter; progress events carry no model text but the queries.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Literal, NamedTuple

from dialog.calibration import calibrate_safety
from dialog.citations import Cited, evidence_of, uncited, unmarked, whole_sentences
from dialog.decoder import Decoder, Sample
from dialog.dialect import Dialect, Step, choose_dialect
from dialog.errors import ContextLengthError
from dialog.history import newest_turns
from dialog.judge import judge, read_probabilities
from dialog.messages import Message, conversation, spoken
from dialog.research import Research, research
from dialog.roles import Role, load_role
from dialog.settings import AgentSettings, TurnSettings
from dialog.tokens import encode_plain
from dialog.turn import Candidate, Timings, Turn, Usage
from safety.policy import Policy
from toolset.toolset import Toolset

NO_SOURCE = "I found no source for this, so please check it: {draft}"
NOTHING_SAID = "I have no answer to that. Could you say it in another way?"
RESEARCH_RESERVE = 1_600
"""Tokens of the context kept free for evidence when history is trimmed."""

Finish = Literal["stop", "length", "content_filter"]


class Event(NamedTuple):
    """Progress of a turn, for a person who waits."""

    stage: Literal["sampling", "scoring", "researching", "checking"]
    detail: str = ""


class Agent:
    """Answers conversations with one decoder, one toolset and one policy. Turns may run concurrently."""

    def __init__(
        self,
        decoder: Decoder,
        toolset: Toolset | None = None,
        *,
        dialect: Dialect | None = None,
        role: Role | None = None,
        policy: Policy | None = None,
        settings: AgentSettings | None = None,
    ) -> None:
        self.decoder = decoder
        self.toolset = toolset or Toolset([])
        self.dialect = dialect or choose_dialect(decoder)
        self.role = role or load_role("assistant")
        self.policy = policy or Policy()
        self.settings = settings or AgentSettings()
        self._calibrated = not self.dialect.judges_untuned

    async def prepare(self) -> None:
        """Calibrate where the model needs it. The first turn does so itself; a service does it before it is ready."""
        if not self._calibrated:
            await calibrate_safety(self.decoder, self.dialect, self.role)
            self._calibrated = True

    async def reply(
        self,
        messages: Sequence[Message],
        *,
        seed: int | None = None,
        role: Role | None = None,
        settings: AgentSettings | None = None,
        on_event: Callable[[Event], None] = lambda event: None,
    ) -> Turn:
        """Answer the last message, which must be the user's.

        `seed` repeats a turn exactly on the embedded engine; without one a random seed is drawn and recorded.
        `role` and `settings` stand in for the agent's own in this turn. Cancelling the task stops the engine's work.
        Raises MessageError, ContextLengthError, EngineUnavailable.
        """
        started = time.perf_counter()
        await self.prepare()
        turn = _TurnInProgress(self, conversation(messages), role or self.role, settings or self.settings, seed)
        on_event(Event("sampling", str(turn.sampling.n)))
        samples = await turn.generate()
        on_event(Event("scoring", str(len(samples))))
        draft = await turn.judge(samples)
        if turn.nothing_said:
            draft = await turn.judge(await turn.generate(again=True))
        if turn.nothing_said:
            turn.notes.append("The model gave no text, twice.")
            return turn.finish(started, Cited(NOTHING_SAID, [], False), "stop")
        if draft is None:
            return turn.finish(started, Cited(self.policy.fixed_reply, [], False), "content_filter")
        found = await turn.research(draft, lambda query: on_event(Event("researching", query)))
        on_event(Event("checking"))
        cited, finish_reason = await turn.check(draft, found)
        return turn.finish(started, cited, finish_reason)

    def reply_sync(
        self,
        messages: Sequence[Message],
        *,
        seed: int | None = None,
        role: Role | None = None,
        settings: AgentSettings | None = None,
        on_event: Callable[[Event], None] = lambda event: None,
    ) -> Turn:
        """`reply` for scripts that have no event loop."""
        return asyncio.run(self.reply(messages, seed=seed, role=role, settings=settings, on_event=on_event))

    async def aclose(self) -> None:
        """Free the toolset and the engine."""
        await self.toolset.aclose()
        await self.decoder.aclose()


class _TurnInProgress:
    """The state of one turn between its stages; each stage adds to the trace and to the timings."""

    def __init__(
        self, agent: Agent, messages: list[Message], role: Role, settings: AgentSettings, seed: int | None
    ) -> None:
        self.decoder, self.dialect, self.toolset = agent.decoder, agent.dialect, agent.toolset
        self.policy, self.role, self.settings = agent.policy, role, settings
        self.given = messages
        self.seed = secrets.randbits(32) if seed is None else seed
        self.sampling = settings.sampling.model_copy(
            update={"seed": self.seed, "stop_token_ids": self.dialect.stop_token_ids}
        )
        self.timings, self.usage = Timings(), Usage()
        self.candidates: list[Candidate] = []
        self.found = Research()
        self.notes: list[str] = []
        self.draft: str | None = None
        lead = [*takewhile(lambda message: message.role == "system", messages)]
        opening = [Message(role="assistant", content=line) for line in role.opening]
        self.messages, self.prompt_ids = self._fit(lead, [*opening, *messages[len(lead) :]])

    def _fit(self, lead: list[Message], messages: list[Message]) -> tuple[list[Message], list[int]]:
        """`lead`, the caller's instructions, with the newest whole turns whose prompt fits the model, and that prompt.

        Raises ContextLengthError.
        """
        context = self.decoder.info.context_length
        room = context - self.sampling.max_tokens - min(RESEARCH_RESERVE, context // 4)
        kept, ids = newest_turns(lead, messages, lambda newest: self.dialect.base_prompt(newest, self.role), room)
        if len(ids) > room:
            raise ContextLengthError(len(ids) + context - room, context)
        if dropped := len(lead) + len(messages) - len(kept):
            self.notes.append(f"The oldest {dropped} messages were left out: they do not fit the model's context.")
        return kept, ids

    @property
    def nothing_said(self) -> bool:
        """Whether every candidate so far is empty: there is nothing that a filter could have dropped."""
        return not any(candidate.text for candidate in self.candidates)

    async def generate(self, *, again: bool = False) -> list[Sample]:
        started = time.perf_counter()
        # The next seed is that of research.
        sampling = self.sampling.model_copy(update={"seed": self.seed + 2}) if again else self.sampling
        samples = await self.decoder.generate(self.prompt_ids, sampling)
        self.timings.generate += time.perf_counter() - started
        self.usage.prompt_tokens = len(self.prompt_ids)
        self.usage.sampled_tokens += sum(len(sample.token_ids) for sample in samples)
        return samples

    async def judge(self, samples: list[Sample]) -> Sample | None:
        """Score, filter and rank; the best draft, or None where no sample has text or the filter left none."""
        started = time.perf_counter()
        judged = await judge(self.decoder, self.dialect, self.prompt_ids, samples, self.policy)
        self.timings.score += time.perf_counter() - started
        self.candidates += [candidate for candidate, _ in judged]
        self.usage.scored_prompts += sum(c.scores is not None for c, _ in judged) * len(self.dialect.attribute_reads)
        best, sample = judged[0]
        if not best.kept:
            return None
        self.draft = best.text
        return sample

    async def research(self, draft: Sample, on_query: Callable[[str], None]) -> Research:
        started = time.perf_counter()
        if self.settings.rounds:
            sampling = self.sampling.model_copy(
                update={
                    "n": max(1, self.settings.research_candidates),
                    "max_tokens": self.settings.research_tokens,
                    "temperature": self.settings.research_temperature,
                    "seed": self.seed + 1,
                    "stop_token_ids": self.dialect.research_stop_token_ids,
                }
            )
            self.found = await research(
                self.decoder, self.dialect, self.toolset, self.messages, self.role, draft, sampling,
                rounds=self.settings.rounds, quotes=self.settings.research_candidates == 0, on_query=on_query,
            )  # fmt: skip
        self.candidates += self.found.candidates
        self.usage.sampled_tokens += self.found.sampled_tokens
        self.timings.tools = self.found.tool_seconds
        self.timings.research = time.perf_counter() - started - self.found.tool_seconds
        return self.found

    async def check(self, draft: Sample, found: Research) -> tuple[Cited, Finish]:
        """Read SAFE and GROUNDED on the final text. The draft was judged before; new text was not."""
        started = time.perf_counter()
        cited = found.cited
        if cited is None or (not cited.grounded and not found.answered):
            return self._unsourced(draft, found)
        answer = self.dialect.answer_ids(cited.text)
        reads = self.dialect.attribute_reads
        prompt = self._within(self.dialect.base_prompt, len(answer) + max(len(read.suffix) for read in reads))
        if prompt is None:
            self.notes.append("The researched answer was left out: it is too long for the model to check.")
            return self._unsourced(draft, found)
        [scores] = await read_probabilities(self.decoder, reads, [[*prompt, *answer]])
        self.usage.scored_prompts += len(reads)
        if not self.policy.releases(scores["safe"]):
            self.notes.append(f"The researched answer was filtered: P(safe) {scores['safe']:.2f}.")
            self.timings.check = time.perf_counter() - started
            return Cited(self.policy.fixed_reply, [], False), "content_filter"
        if cited.grounded and self.settings.grounded_threshold is not None:
            cited = await self._read_grounded(cited, answer, self.settings.grounded_threshold)
        self.timings.check = time.perf_counter() - started
        return cited, "stop"

    def _unsourced(self, draft: Sample, found: Research) -> tuple[Cited, Finish]:
        """The draft, which says that it has no source where the message seeks facts."""
        text = unmarked(whole_sentences(spoken(draft.text), draft.finish_reason)) or NOTHING_SAID
        if found.seeks_facts and self.settings.rounds:
            self.notes.append("No source was found." if not found.evidence else "No source that was found answers.")
            text = NO_SOURCE.format(draft=text)
        return Cited(text, [], False), draft.finish_reason

    async def _read_grounded(self, cited: Cited, answer: list[int], threshold: float) -> Cited:
        """`cited`, without its citations where P(grounded) is below `threshold`.

        GROUNDED is read as it is trained: over what the answer cites, with the answer in the draft's place.
        """
        read = self.dialect.grounded_read
        step = Step(self.messages[-1].content, evidence_of(cited.citations))
        prompt = self._within(
            lambda messages, role: self.dialect.research_prompt(messages, role, answer, [step]),
            len(answer) + len(read.suffix),
        )
        if prompt is None:
            self.notes.append("P(grounded) was not read: the sources are too long for the model.")
            return cited
        [found] = await read_probabilities(self.decoder, [read], [[*prompt, *answer]])
        self.usage.scored_prompts += 1
        if found["grounded"] >= threshold:
            return cited
        self.notes.append(f"The answer's sources do not support it: P(grounded) {found['grounded']:.2f}.")
        return Cited(uncited(cited.text), [], False)

    def _within(self, write: Callable[[Sequence[Message], Role], list[int]], after: int) -> list[int] | None:
        """A prompt with as much history as leaves room for `after` ids and a label; None where nothing does."""
        room = self.decoder.info.context_length - after - 1
        if len(whole := write(self.messages, self.role)) <= room:
            return whole
        lead = [*takewhile(lambda message: message.role == "system", self.messages)]
        _, ids = newest_turns(lead, self.messages[len(lead) :], lambda newest: write(newest, self.role), room)
        return ids if len(ids) <= room else None

    def finish(self, started: float, cited: Cited, finish_reason: Finish) -> Turn:
        failed = {call.tool: call.error for call in self.found.calls if call.error}
        self.notes += [f"The tool {tool} failed: {error}" for tool, error in failed.items()]
        self.usage.completion_tokens = len(encode_plain(self.decoder.tokenizer, cited.text))
        self.timings.total = time.perf_counter() - started
        for stage, seconds in self.timings:
            setattr(self.timings, stage, round(seconds, 4))
        return Turn(
            reply=cited.text,
            citations=cited.citations,
            finish_reason=finish_reason,
            grounded=cited.grounded,
            candidates=self.candidates,
            tool_calls=self.found.calls,
            timings=self.timings,
            usage=self.usage,
            notes=self.notes,
            draft=self.draft,
            messages=self.given,
            role=self.role.name,
            dialect=self.dialect.name,
            decoder=self.decoder.info,
            seed=self.seed,
            settings=TurnSettings(**{**dict(self.settings), "safety_threshold": self.policy.threshold}),
        )
