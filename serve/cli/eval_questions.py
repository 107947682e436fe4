"""`groundling eval questions`: what the agent answers over a corpus, and whether its citations hold."""

from __future__ import annotations

import asyncio
import re
import string
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from serve.cli.eval_common import chosen, model_options, show

if TYPE_CHECKING:
    from dialog.agent import Agent
    from dialog.finetune.records import GroundedQuestion
    from dialog.turn import Turn

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
    closed_book_accuracy  the bare model's greedy answer holds one of the answers
    answer_accuracy       the agent's reply does
    citation_accuracy     cited documents that are in source_ids, of all that are cited
    groundedness          replies that a citation supports, of the replies that state something
    informativeness       replies that a citation supports, of all replies
    abstained             replies that say the sources do not hold it; also over unanswerable questions alone

    \b
    Example:
      groundling eval questions --data questions.jsonl --corpus articles.jsonl --limit 100 --json
    """
    from dialog.errors import RecordError
    from dialog.finetune.records import GroundedQuestion
    from safety.records import read_records

    questions = read_records(data, GroundedQuestion, error=RecordError, limit=limit)
    with tempfile.TemporaryDirectory(prefix="groundling-") as folder:
        result = asyncio.run(measure(questions, corpus, Path(folder) / "corpus", candidates, seed, chosen(**options)))
    show("questions", data, result, as_json=as_json, save=save)


async def measure(
    questions: list[GroundedQuestion],
    corpus: str,
    folder: Path,
    candidates: int | None,
    seed: int,
    options: dict[str, Any],
) -> dict[str, Any]:
    """All figures of a question set; `folder` holds the corpus while it runs."""
    from dialog.messages import Message
    from serve.assemble import AgentOptions, assemble
    from serve.progress import progress
    from toolset.calculator import Calculator
    from toolset.retrieval import Retrieval
    from toolset.toolset import Toolset

    agent_options = AgentOptions(**options, corpus="none", candidates=candidates)
    place, embedder = corpus_at(corpus, folder)
    agent = (await assemble(agent_options)).agent
    agent.toolset = Toolset([Calculator(), Retrieval(place, embedder).load()])
    closed: list[bool] = []
    turns: list[Turn] = []
    try:
        with progress("closed book", len(questions)) as done:
            for i, question in enumerate(questions):
                closed.append(holds(await bare_answer(agent, question.question), question.answers))
                done(i + 1)
        started = time.perf_counter()
        with progress("asking the agent", len(questions)) as done:
            for i, question in enumerate(questions):
                turns.append(await agent.reply([Message(role="user", content=question.question)], seed=seed + i))
                done(i + 1)
        seconds = time.perf_counter() - started
    finally:
        await agent.aclose()
    return figures_of(questions, turns, closed, seconds)


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


async def bare_answer(agent: Agent, question: str) -> str:
    """The model alone, in its own chat format where it has one: greedy, no candidates, no tools."""
    from dialog.chat_dialect import ChatDialect
    from dialog.decoder import Sampling
    from dialog.messages import Message

    dialect = ChatDialect(agent.decoder.tokenizer) if agent.decoder.tokenizer.chat_template else agent.dialect
    prompt = dialect.base_prompt([Message(role="user", content=question)], agent.role)
    sampling = Sampling(n=1, max_tokens=48, temperature=0.0, stop_token_ids=dialect.stop_token_ids)
    return (await agent.decoder.generate(prompt, sampling))[0].text


def figures_of(
    questions: list[GroundedQuestion], turns: list[Turn], closed: list[bool], seconds: float
) -> dict[str, Any]:
    """The figures of answered questions; rates over nothing are None."""
    import numpy as np

    from safety.metrics import bootstrap, mean

    answerable = [bool(question.answers) for question in questions]
    right = [holds(turn.reply, q.answers) for turn, q in zip(turns, questions, strict=True)]
    cited = [
        citation.id in question.source_ids
        for turn, question in zip(turns, questions, strict=True)
        for citation in turn.citations
        if question.source_ids
    ]
    abstained = [abstains(turn) for turn in turns]
    supported = [turn.grounded and bool(turn.citations) and not out for turn, out in zip(turns, abstained, strict=True)]
    stating = [not out for out in abstained]

    def share(values: list[bool], where: list[bool] | None = None) -> float | None:
        kept = values if where is None else [v for v, keep in zip(values, where, strict=True) if keep]
        return round(sum(kept) / len(kept), 4) if kept else None

    scored = np.array([float(value) for value, keep in zip(right, answerable, strict=True) if keep])
    span = bootstrap(mean, scored, scored) if len(scored) else None
    return {
        "n": len(questions),
        "closed_book_accuracy": share(closed, answerable),
        "answer_accuracy": share(right, answerable),
        "citation_accuracy": share(cited),
        "groundedness": share(supported, stating),
        "informativeness": share(supported),
        "abstained": share(abstained),
        "abstained_unanswerable": share(abstained, [not each for each in answerable]),
        "abstained_answerable": share(abstained, answerable),
        "turns_per_second": round(len(turns) / seconds, 3) if seconds else None,
        "intervals": {"answer_accuracy": [round(span.low, 4), round(span.high, 4)]} if span else {},
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
