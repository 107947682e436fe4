"""`groundling eval grounded`: whether GROUNDED sees what its source does not hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from serve.cli.eval_common import (
    Judge,
    adapter_card,
    both_labels,
    chosen,
    intervals_of,
    model_options,
    note_of,
    show,
    values_of,
    with_judge,
)
from serve.cli.eval_held_out import held_out_option, measured_records

if TYPE_CHECKING:
    from safety.records import GroundedRecord


@click.command()
@model_options
@held_out_option
def command(
    data: Path, limit: int | None, held_out: bool, as_json: bool, save: Path | None, **options: Any
) -> None:  # fmt: skip
    """Score replies of {"knowledge", "context", "response", "grounded": 0|1}.

    \b
    auroc   ranking of P(grounded)
    f1      of the grounded class at the adapter card's threshold, else at 0.5

    Of long knowledge the first 900 characters are read, as a turn reads its sources. On a file that the adapter was
    trained on, --held-out measures what its finetuning held out, by knowledge; the card's threshold was chosen on such
    records, so there f1 flatters.

    \b
    Example:
      groundling eval grounded --data begin.jsonl --adapter joint
    """
    from dialog.errors import RecordError
    from safety.metrics import bootstrap, f1, ranking
    from safety.records import GroundedRecord, read_records
    from serve.progress import progress

    def read(most: int | None) -> list[GroundedRecord]:
        return read_records(data, GroundedRecord, error=RecordError, limit=most)

    records, share = measured_records(data, read, options, held_out=held_out, limit=limit)
    labels = [record.grounded for record in records]
    both_labels(labels, data, "grounded")

    async def work(judge: Judge) -> list[float]:
        answers = [grounded_prompt(judge, number, record) for number, record in enumerate(records, 1)]
        with progress("judging", len(records)) as done:
            found = await judge.read([judge.dialect.grounded_read], answers, done)
        return [each["grounded"] for each in found]

    scores = with_judge(chosen(**options), work)
    card = adapter_card(options)
    threshold = card.grounded_threshold if card and card.grounded_threshold is not None else 0.5
    groups = [record.knowledge for record in records]
    spans = {
        "auroc": ranking(labels, scores, groups=groups),
        "f1": bootstrap(lambda y, p: f1(y, p >= threshold), labels, scores, groups=groups),
    }
    result = {
        "n": len(labels),
        **values_of(spans),
        "threshold": threshold,
        **note_of(groups, "source", spans),
        "intervals": intervals_of(spans, groups),
    }
    kept = {"labels": labels, "scores": scores}
    how = {"limit": limit, "held_out": share}
    show("grounded", data, result, of=options, how=how, as_json=as_json, save=save, scores=kept)


def grounded_prompt(judge: Judge, number: int, record: GroundedRecord) -> list[int]:
    """Ids up to and with the answer, as a turn has them when it reads GROUNDED: the reply is its own draft.

    Raises DataError where record `number` does not fit: its knowledge cut to what does would be another record.
    """
    from dialog.dialect import Step
    from dialog.finetune.examples import evidence_of
    from dialog.finetune.records import Snippet
    from dialog.messages import NO_CONTEXT

    question = record.context[-1].content if record.context else NO_CONTEXT
    answer = judge.dialect.answer_ids(record.response)
    step = Step(question, evidence_of([Snippet(text=record.knowledge)]))
    prompt = judge.fit(
        number,
        record.context,
        len(answer) + len(judge.dialect.grounded_read.suffix),
        lambda kept: judge.dialect.research_prompt(kept, judge.role, answer, [step]),
    )
    return [*prompt, *answer]
