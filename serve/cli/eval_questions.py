"""`groundling eval questions`: what the agent answers over a corpus, and whether its citations hold."""

from __future__ import annotations

import asyncio
import re
import string
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from serve.cli.eval_common import (
    Judge,
    adapter_card,
    asked,
    chosen,
    intervals_of,
    model_options,
    note_of,
    of_record,
    show,
    values_of,
)
from serve.cli.eval_saved import named

if TYPE_CHECKING:
    from dialog.decoder import Decoder
    from dialog.turn import Turn
    from safety.records import GroundedQuestion
    from serve.assemble import AgentOptions

_MARKER = re.compile(r"\[\d+\]")
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_ABSTAINS = re.compile(
    r"\b(?:could not find|couldn't find|found no source|found nothing|can't say|cannot say|do(?:es)? not say"
    r"|no information|don't know|do not know|not sure)\b",
    re.IGNORECASE,
)


@click.command()
@model_options
@click.option(
    "--corpus",
    required=True,
    metavar="C",
    help='Documents, {"id", "title", "text", "url"?} a line, or a corpus by name.',
)
@click.option("--candidates", type=click.IntRange(1, 256), metavar="N", help="Answers sampled a turn.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
def command(
    data: Path, limit: int | None, as_json: bool, save: Path | None, corpus: str, candidates: int | None, seed: int,
    **options: Any,
) -> None:  # fmt: skip
    """Ask {"question", "answers": [str…], "source_ids"?: [str…]}; with no answers, the corpus does not hold one.

    \b
    closed_book_accuracy  the bare model's greedy answer, without adapter, holds one of the answers
    answer_accuracy       the agent's reply does, and does not abstain
    citation_accuracy     cited documents that are in source_ids, of all that answers to answerable questions cite
    groundedness          replies with a citation, of the replies that state something
    informativeness       replies with a citation, of all replies
    groundedness_judged   replies whose citations hold them by the adapter's GROUNDED, at its card's threshold, of the
                          replies with a citation; none where the adapter has no such threshold
    abstained             replies that say the sources do not hold it; also over unanswerable questions alone

    Groundedness and informativeness measure no truth: a turn cites only what its own word test holds for support, and
    else says that it found no source. So groundedness is 1 or next to it whatever the model, and informativeness is
    1 - abstained. Read groundedness_judged, citation_accuracy and answer_accuracy for what the citations are worth.
    GROUNDED is read once more after the turn, each source with the sentences that cite it. In the dialect judged the
    turn does not use it; in the dialect tuned it drops what is below the threshold, and the figure is high by that.

    \b
    Example:
      groundling eval questions --data questions.jsonl --corpus articles.jsonl --limit 100 --json
    """
    from dialog.errors import RecordError
    from safety.records import GroundedQuestion, read_records

    questions = read_records(data, GroundedQuestion, error=RecordError, limit=limit)
    with tempfile.TemporaryDirectory(prefix="groundling-") as folder:
        card = adapter_card(options)
        threshold = card.grounded_threshold if card else None
        place, named_by = Path(folder) / "corpus", chosen(**options)
        result = asyncio.run(measure(questions, corpus, place, candidates, seed, named_by, threshold))
    how = {"limit": limit, "corpus": named(Path(corpus)), "candidates": candidates, "seed": seed}
    show("questions", data, result, of=options, how=how, as_json=as_json, save=save)


async def measure(
    questions: list[GroundedQuestion],
    corpus: str,
    folder: Path,
    candidates: int | None,
    seed: int,
    options: dict[str, Any],
    threshold: float | None = None,
) -> dict[str, Any]:
    """All figures of a question set; `folder` holds the corpus while it runs. Replies are judged where there is a
    threshold of P(grounded).

    Raises DataError, which names the record.
    """
    from serve.assemble import AgentOptions, assemble, card_of
    from serve.progress import progress
    from toolset.calculator import Calculator
    from toolset.retrieval import Retrieval
    from toolset.toolset import Toolset

    agent_options = AgentOptions(**options, corpus="none", candidates=candidates)
    card_of(agent_options)  # an unknown adapter is told of before the work
    messages = asked(question.question for question in questions)
    place, embedder = corpus_at(corpus, folder)
    closed = await closed_book(questions, agent_options)
    agent = (await assemble(agent_options)).agent
    agent.toolset = Toolset([Calculator(), Retrieval(place, embedder).load()])
    turns: list[Turn] = []
    try:
        started = time.perf_counter()
        with progress("asking the agent", len(questions)) as done:
            for i, message in enumerate(messages):
                with of_record(i + 1):
                    turns.append(await agent.reply([message], seed=seed + i))
                done(i + 1)
        seconds = time.perf_counter() - started
        held: list[bool | None] = [None] * len(turns)
        if threshold is not None:
            held = await held_by_sources(Judge(agent.decoder, agent.dialect, agent.role), turns, threshold)
    finally:
        await agent.aclose()
    return figures_of(questions, turns, closed, seconds, held)


async def held_by_sources(judge: Judge, turns: list[Turn], threshold: float) -> list[bool | None]:
    """Whether P(grounded) finds each turn's reply held by what it cites; None without citations.

    It is read as it was trained and as `eval grounded` reads it, over one source at a time: a reply is held where each
    source holds the sentences that cite it. One that is too long for the model with its source is not read, None.
    """
    from safety.errors import DataError
    from safety.records import GroundedRecord
    from serve.cli.eval_grounded import grounded_prompt
    from serve.progress import progress

    found: list[bool | None] = []
    with progress("judging the replies", len(turns)) as done:
        for i, turn in enumerate(turns):
            said = [
                GroundedRecord(knowledge=source, context=tuple(turn.messages), response=text, grounded=1)
                for text, source in cited_parts(turn)
            ]
            try:
                prompts = [grounded_prompt(judge, i + 1, record) for record in said]
            except DataError:
                prompts = []
            read = await judge.read([judge.dialect.grounded_read], prompts, lambda count: None) if prompts else []
            found.append(all(each["grounded"] >= threshold for each in read) if read else None)
            done(i + 1)
    return found


def cited_parts(turn: Turn) -> list[tuple[str, str]]:
    """(the sentences that cite a source, its text), a run of sentences to one source being marked at its end."""
    from dialog.citations import marked_sentences

    texts = {citation.number: citation.text for citation in turn.citations}
    said: dict[int, list[str]] = {}
    run: list[str] = []
    for sentence, numbers in marked_sentences(turn.reply):
        run.append(sentence)
        for number in numbers:
            said.setdefault(number, []).extend(run)
        run = [] if numbers else run
    return [(" ".join(said[number]), texts[number]) for number in sorted(said) if number in texts]


def corpus_at(corpus: str, folder: Path) -> tuple[Path, Any]:
    """The folder of a corpus by name, or a temporary one made of a file's documents; and the embedding model."""
    from serve.progress import progress_of_counts
    from serve.tools import corpus_folder, embedder
    from toolset.retrieval import Corpus
    from toolset.retrieval.documents import read_file

    if not Path(corpus).is_file():
        return corpus_folder(corpus), embedder()
    documents, encoder = read_file(Path(corpus)), embedder()
    with progress_of_counts("indexing the corpus") as done:
        built = Corpus(folder, encoder, create=True)
        built.add(documents, lambda count: done(count, len(documents)))
        built.close()
    return folder, encoder


async def closed_book(questions: list[GroundedQuestion], options: AgentOptions) -> list[bool]:
    """Whether the model's own answer to each question holds one of the answers.

    The agent's decoder has its adapter merged into the weights, so the bare model is another decoder. It is closed
    before the agent's is opened: two need not fit in memory. A server answers with what it was started with.
    """
    from serve.assemble import open_named_decoder
    from serve.progress import progress

    decoder = await open_named_decoder(options.model_copy(update={"adapter": "none"}))
    found: list[bool] = []
    try:
        with progress("closed book", len(questions)) as done:
            for i, question in enumerate(questions):
                with of_record(i + 1):
                    found.append(holds(await bare_answer(decoder, question.question), question.answers))
                done(i + 1)
    finally:
        await decoder.aclose()
    return found


async def bare_answer(decoder: Decoder, question: str) -> str:
    """The model alone, in its own chat format where it has one: greedy, no candidates, no tools."""
    from dialog.decoder import Sampling
    from dialog.dialect import choose_dialect
    from dialog.messages import Message
    from dialog.roles import load_role

    dialect = choose_dialect(decoder, "chat" if decoder.tokenizer.chat_template else "tuned")
    prompt = dialect.base_prompt([Message(role="user", content=question)], load_role("assistant"))
    sampling = Sampling(n=1, max_tokens=48, temperature=0.0, stop_token_ids=dialect.stop_token_ids)
    return (await decoder.generate(prompt, sampling))[0].text


def figures_of(
    questions: list[GroundedQuestion],
    turns: list[Turn],
    closed: list[bool],
    seconds: float,
    held: Sequence[bool | None] = (),
) -> dict[str, Any]:
    """The figures of answered questions; rates over nothing are None. Questions on one document are drawn together.

    `held` is what `held_by_sources` found; empty where nothing was judged.
    """
    from safety.metrics import Interval, rate

    answerable = [bool(question.answers) for question in questions]
    home = [question.source_ids[0] if question.source_ids else question.question for question in questions]
    abstained = [abstains(turn) for turn in turns]
    stating = [not out for out in abstained]
    right = [says and holds(turn.reply, q.answers) for says, turn, q in zip(stating, turns, questions, strict=True)]
    supported = [turn.grounded and bool(turn.citations) and says for turn, says in zip(turns, stating, strict=True)]
    cited = [
        (citation.id in question.source_ids, place)
        for turn, question, place in zip(turns, questions, home, strict=True)
        for citation in turn.citations
        if question.source_ids
    ]

    def share(values: list[bool], where: list[bool] | None = None) -> Interval | None:
        kept = [i for i in range(len(values)) if where is None or where[i]]
        return rate([values[i] for i in kept], [home[i] for i in kept])

    spans = {
        "closed_book_accuracy": share(closed, answerable),
        "answer_accuracy": share(right, answerable),
        "citation_accuracy": rate([held for held, _ in cited], [place for _, place in cited]),
        "groundedness": share(supported, stating),
        "informativeness": share(supported),
        "groundedness_judged": share([bool(each) for each in held], [each is not None for each in held]),
        "abstained": share(abstained),
        "abstained_unanswerable": share(abstained, [not each for each in answerable]),
        "abstained_answerable": share(abstained, answerable),
    }
    return {
        "n": len(questions),
        **values_of(spans),
        "turns_per_second": round(len(turns) / seconds, 3) if seconds else None,
        **note_of(home, "document", spans),
        "intervals": intervals_of(spans, home),
    }


def abstains(turn: Turn) -> bool:
    """The reply says that it has no source, or that the sources do not hold the answer, or it is the fixed reply.

    A claim without a citation is no abstention: it states something that nothing supports.
    """
    return turn.finish_reason == "content_filter" or bool(_ABSTAINS.search(turn.reply))


def holds(reply: str, answers: tuple[str, ...]) -> bool:
    """Whether a reply holds one of the answers, as whole words, after SQuAD's normalisation."""
    text = f" {normal(_MARKER.sub(' ', reply))} "
    return any(f" {normal(answer)} " in text for answer in answers if normal(answer))


def normal(text: str) -> str:
    """Lower case without punctuation, articles and double spaces (Rajpurkar et al. 2016)."""
    lowered = text.lower().translate(str.maketrans(dict.fromkeys(string.punctuation + "–—’‘“”", " ")))
    return " ".join(_ARTICLE.sub(" ", lowered).split())
