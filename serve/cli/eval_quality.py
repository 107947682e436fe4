"""`groundling eval quality`: SENSIBLE, SPECIFIC and INTERESTING against ratings."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from serve.cli.eval_common import (
    Judge,
    chosen,
    intervals_of,
    model_options,
    note_of,
    opening,
    show,
    values_of,
    with_judge,
)
from serve.cli.eval_held_out import held_out_option, measured_records

ATTRIBUTES = ("sensible", "specific", "interesting")


@click.command()
@model_options
@held_out_option
def command(
    data: Path, limit: int | None, held_out: bool, as_json: bool, save: Path | None, **options: Any
) -> None:  # fmt: skip
    """Score replies of {"context", "response", "sensible"?, "specific"?, "interesting"?}, each rating from 0 to 1.

    Per attribute: n, spearman (rank correlation with the rating) and auroc (rating of 0.5 or more against less).
    On a file that the adapter was trained on, --held-out measures what its finetuning held out.

    \b
    Example:
      groundling eval quality --data replies.jsonl --adapter joint --json
    """
    from safety.errors import DataError, MetricError
    from safety.metrics import Interval, bootstrap, ranking, spearman
    from safety.records import QualityRecord, read_records
    from serve.progress import progress

    records, share = measured_records(
        data, lambda most: read_records(data, QualityRecord, limit=most), options, held_out=held_out, limit=limit
    )
    if all(getattr(record, attribute) is None for record in records for attribute in ATTRIBUTES):
        raise DataError(
            f"none of the {len(records)} records read from {data.name} has a rating. Give at least one of "
            f"{', '.join(ATTRIBUTES)}, from 0 to 1."
        )

    async def work(judge: Judge) -> list[dict[str, float]]:
        with progress("judging", len(records)) as done:
            return await judge.attributes([(r.context, r.response) for r in records], ATTRIBUTES, done)

    found = with_judge(chosen(**options), work)
    result: dict[str, Any] = {}
    for attribute in ATTRIBUTES:
        rows = [
            (rating, scores[attribute], opening(record.context, record.response))
            for record, scores in zip(records, found, strict=True)
            if (rating := getattr(record, attribute)) is not None
        ]
        if not rows:
            continue
        ratings, scores, groups = (list(column) for column in zip(*rows, strict=True))
        spans: dict[str, Interval | None] = {"spearman": None, "auroc": None}
        with suppress(MetricError):
            spans["spearman"] = bootstrap(spearman, ratings, scores, groups=groups)
        with suppress(MetricError):
            spans["auroc"] = ranking([int(rating >= 0.5) for rating in ratings], scores, groups=groups)
        result[attribute] = {
            "n": len(rows),
            **values_of(spans),
            **note_of(groups, "context", spans),
            "intervals": intervals_of(spans, groups),
        }
    how = {"limit": limit, "held_out": share}
    show("quality", data, result, of=options, how=how, as_json=as_json, save=save)
