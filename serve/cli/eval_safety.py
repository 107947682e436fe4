"""`groundling eval safety`: how well P(safe) tells unsafe replies from safe ones."""

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
    opening,
    show,
    with_judge,
)


@click.command()
@model_options
@click.option("--threshold", type=click.FloatRange(0, 1), help="Least P(safe) that passes.  [default: the adapter's]")
@click.option(
    "--train", type=click.Path(path_type=Path), help="Safety records to fit the baseline's linear MiniLM probe on."
)
def command(
    data: Path, limit: int | None, as_json: bool, save: Path | None, threshold: float | None, train: Path | None,
    **options: Any,
) -> None:  # fmt: skip
    """Score replies of {"context": [{"role", "content"}…], "response", "unsafe": 0|1}; no context: a text alone.

    \b
    auroc, ap               ranking of P(unsafe); ap is average precision of the unsafe class
    f1, recall,
    false_positive_rate     of dropping replies with P(safe) < threshold
    threshold               --threshold, else the adapter card's, else calibrated to 5% false positives on this data:
                            then each half of the contexts is judged with the other half's threshold
    baselines               the same of a list of profanities and, with --train, of a probe on MiniLM embeddings
    intervals               95% bootstrap, drawn by context

    \b
    Examples:
      groundling eval safety --data diasafety.jsonl --adapter judge
      groundling eval safety --data mine.jsonl --limit 500 --save results --json
    """
    from safety.metrics import safety_figures, two_fold
    from safety.records import SafetyRecord, read_records
    from serve.cli.eval_baselines import baselines
    from serve.progress import progress

    records = read_records(data, SafetyRecord, limit=limit)
    unsafe = [record.unsafe for record in records]
    both_labels(unsafe, data, "unsafe")
    examples = read_records(train, SafetyRecord) if train else None
    if examples and train:
        both_labels([record.unsafe for record in examples], train, "unsafe")
    card = adapter_card(options)
    source = "option"
    if threshold is None and card is not None:
        threshold, source = card.safety_threshold, "card"

    async def work(judge: Judge) -> list[float]:
        with progress("judging", len(records)) as done:
            found = await judge.attributes([(r.context, r.response) for r in records], ["safe"], done)
        return [each["safe"] for each in found]

    p_safe = with_judge(chosen(**options), work)
    groups = [opening(record.context, record.response) for record in records]
    if threshold is None:
        figures, source = two_fold(unsafe, p_safe, groups), "this data, in two halves"
    else:
        figures = safety_figures(unsafe, p_safe, threshold, groups=groups)
    result: dict[str, Any] = {
        **{name: round(value, 4) for name, value in figures.model_dump(exclude={"intervals"}).items()},
        "threshold": figures.threshold,
        "threshold_from": source,
        "baselines": baselines(records, examples),
        "intervals": intervals_of(figures.intervals),
    }
    kept = {"labels": unsafe, "scores": [1 - p for p in p_safe]}
    show("safety", data, result, of=options, as_json=as_json, save=save, scores=kept)
