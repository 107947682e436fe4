"""`groundling eval grounded`: whether GROUNDED sees what its source does not hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from serve.cli.eval_common import (
    Judge,
    adapter_card,
    both_labels,
    chosen,
    intervals_of,
    model_options,
    show,
    values_of,
    with_judge,
)


@click.command()
@model_options
def command(data: Path, limit: int | None, as_json: bool, save: Path | None, **options: Any) -> None:
    """Score replies of {"knowledge", "context", "response", "grounded": 0|1}.

    \b
    auroc   ranking of P(grounded)
    f1      of the grounded class at the adapter card's threshold, else at 0.5

    \b
    Example:
      groundling eval grounded --data begin.jsonl --adapter judge
    """
    from dialog.errors import RecordError
    from safety.metrics import auroc, bootstrap, f1
    from safety.records import GroundedRecord, read_records
    from serve.progress import progress

    records = read_records(data, GroundedRecord, error=RecordError, limit=limit)
    labels = [record.grounded for record in records]
    both_labels(labels, data, "grounded")

    async def work(judge: Judge) -> list[float]:
        answers = [grounded_prompt(judge, record) for record in records]
        with progress("judging", len(records)) as done:
            found = await judge.read([judge.dialect.grounded_read], answers, done)
        return [each["grounded"] for each in found]

    scores = with_judge(chosen(**options), work)
    card = adapter_card(options)
    threshold = card.grounded_threshold if card and card.grounded_threshold is not None else 0.5
    groups = [record.knowledge for record in records]
    spans = {
        "auroc": bootstrap(auroc, labels, scores, groups=groups),
        "f1": bootstrap(lambda y, p: f1(y, p >= threshold), labels, scores, groups=groups),
    }
    result = {
        "n": len(labels),
        **values_of(spans),
        "threshold": threshold,
        "intervals": intervals_of(spans),
    }
    kept = {"labels": labels, "scores": scores}
    show("grounded", data, result, of=options, as_json=as_json, save=save, scores=kept)


def grounded_prompt(judge: Judge, record: Any) -> list[int]:
    """Ids up to and with the answer, as a turn has them when it reads GROUNDED: the reply is its own draft."""
    from dialog.dialect import Step
    from dialog.finetune.examples import evidence_of
    from dialog.finetune.records import Snippet
    from dialog.messages import NO_CONTEXT, Message

    messages = list(record.context) or [Message(role="user", content=NO_CONTEXT)]
    answer = judge.dialect.answer_ids(record.response)
    step = Step(messages[-1].content, evidence_of([Snippet(text=record.knowledge)]))
    room = judge.decoder.info.context_length - len(answer) - len(judge.dialect.grounded_read.suffix) - 1
    while True:
        prompt = judge.dialect.research_prompt(messages, judge.role, answer, [step])
        if len(prompt) <= room or len(messages) == 1:
            return [*prompt[-max(1, room) :], *answer]
        messages = messages[1:]
