"""`groundling eval safety`: how well P(safe) tells unsafe replies from safe ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    opening,
    safety_spans,
    show,
    values_of,
    with_judge,
)
from serve.cli.eval_held_out import held_out_option, measured_records, unmeasured
from serve.cli.eval_saved import named

if TYPE_CHECKING:
    from safety.metrics import Interval


@click.command()
@model_options
@held_out_option
@click.option("--threshold", type=click.FloatRange(0, 1), help="Least P(safe) that passes.  [default: the adapter's]")
@click.option(
    "--train", type=click.Path(path_type=Path), help="Safety records to fit the baseline's linear MiniLM probe on."
)
def command(
    data: Path, limit: int | None, held_out: bool, as_json: bool, save: Path | None, threshold: float | None,
    train: Path | None, **options: Any,
) -> None:  # fmt: skip
    """Score replies of {"context": [{"role", "content"}…], "response", "unsafe": 0|1}; no context: a text alone.

    \b
    auroc, ap               ranking of P(unsafe); ap is average precision of the unsafe class
    f1, recall,
    false_positive_rate     of dropping replies with P(safe) < threshold
    threshold               --threshold, else the adapter card's, else calibrated to 5% false positives on this data:
                            then each half of the contexts is judged with the other half's threshold; where a half
                            lacks a class, all with that of the same rows, which flatters the rates (threshold_from)
    baselines               the same of a list of profanities and, with --train, of a probe on MiniLM embeddings,
                            fitted without the records whose context is in --data
    intervals               95% bootstrap, drawn by context: the first thing that a user says; of a rate of 0 or 1
                            the exact binomial one, on the number of contexts, and of an auroc of 0 or 1 on that of
                            pairs of contexts; none where all resamples gave the same

    Records of one class, such as harmless look-alikes, have only that class's rate, at a known threshold.
    On a file that the adapter was trained on, --held-out measures what its finetuning held out. The card's threshold
    was chosen on such records, so there the rates flatter, and auroc and ap do not.

    \b
    Examples:
      groundling eval safety --data diasafety.jsonl --adapter joint
      groundling eval safety --data mine.jsonl --limit 500 --save results --json
      groundling eval safety --data mine.jsonl --adapter mine --held-out
    """
    from safety.records import SafetyRecord, read_records
    from serve.cli.eval_baselines import baselines
    from serve.progress import progress

    records, share = measured_records(
        data, lambda most: read_records(data, SafetyRecord, limit=most), options, held_out=held_out, limit=limit
    )
    unsafe = [record.unsafe for record in records]
    examples = None
    if train:
        examples = unmeasured(train, read_records(train, SafetyRecord), records)
        both_labels([record.unsafe for record in examples], train, "unsafe")
        both_labels(unsafe, data, "unsafe", ", or leave --train out: its probe is measured by ranking")
    how = {
        "limit": limit,
        "held_out": share,
        "threshold": threshold,
        "train": named(train) if train else None,
    }
    card = adapter_card(options)
    source = "option"
    if threshold is None and card is not None:
        threshold = card.safety_threshold
        source = "card, chosen on held-out records" if held_out else "card"
    if threshold is None:
        both_labels(unsafe, data, "unsafe", ", or a threshold: --threshold, or an adapter whose card has one")

    async def work(judge: Judge) -> list[float]:
        with progress("judging", len(records)) as done:
            found = await judge.attributes([(r.context, r.response) for r in records], ["safe"], done)
        return [each["safe"] for each in found]

    p_safe = with_judge(chosen(**options), work)
    groups = [opening(record.context, record.response) for record in records]
    if threshold is None:
        spans, threshold, source = calibrated(unsafe, p_safe, groups)
    else:
        spans = safety_spans(unsafe, p_safe, threshold, groups)
    result: dict[str, Any] = {
        "n": len(records),
        **values_of(spans),
        "threshold": threshold,
        "unsafe": sum(unsafe),
        "threshold_from": source,
        "baselines": baselines(records, examples),
        **note_of(groups, "context", spans),
        "intervals": intervals_of(spans, groups),
    }
    kept = {"labels": unsafe, "scores": [1 - p for p in p_safe]}
    show("safety", data, result, of=options, how=how, as_json=as_json, save=save, scores=kept)


def calibrated(
    unsafe: Sequence[int], p_safe: Sequence[float], groups: Sequence[str]
) -> tuple[Mapping[str, Interval | None], float, str]:
    """(figures, threshold, where it is from) where no threshold is known.

    `two_fold` needs both classes in both halves; without them it would calibrate and measure on the same rows unsaid.
    """
    from safety.metrics import calibrate, two_fold
    from safety.split import fraction_of

    # The halves are those of `two_fold`.
    halves = {(fraction_of(group, "calibration") < 0.5, label) for group, label in zip(groups, unsafe, strict=True)}
    if len(halves) == 4:
        figures = two_fold(unsafe, p_safe, groups)
        return figures.intervals, figures.threshold, "this data, in two halves"
    threshold = calibrate(unsafe, p_safe)
    return safety_spans(unsafe, p_safe, threshold, groups), threshold, "this data, the same rows"
