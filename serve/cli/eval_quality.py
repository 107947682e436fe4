"""`groundling eval quality`: SENSIBLE, SPECIFIC and INTERESTING against ratings."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from serve.cli.eval_common import Judge, chosen, model_options, show, with_judge

ATTRIBUTES = ("sensible", "specific", "interesting")


@click.command()
@model_options
def command(data: Path, limit: int | None, as_json: bool, save: Path | None, **options: Any) -> None:
    """Score replies of {"context", "response", "sensible"?, "specific"?, "interesting"?}, each rating from 0 to 1.

    Per attribute: n, spearman (rank correlation with the rating) and auroc (rating of 0.5 or more against less).

    \b
    Example:
      groundling eval quality --data replies.jsonl --adapter judge --json
    """
    from safety.errors import MetricError
    from safety.metrics import auroc, bootstrap, spearman
    from safety.records import QualityRecord, read_records
    from serve.progress import progress

    records = read_records(data, QualityRecord, limit=limit)

    async def work(judge: Judge) -> list[dict[str, float]]:
        with progress("judging", len(records)) as done:
            return await judge.attributes([(r.context, r.response) for r in records], ATTRIBUTES, done)

    found = with_judge(chosen(**options), work)
    result: dict[str, Any] = {}
    for attribute in ATTRIBUTES:
        pairs = [
            (rating, scores[attribute])
            for record, scores in zip(records, found, strict=True)
            if (rating := getattr(record, attribute)) is not None
        ]
        if not pairs:
            continue
        ratings, scores = [r for r, _ in pairs], [s for _, s in pairs]
        labels = [int(rating >= 0.5) for rating in ratings]
        figures: dict[str, Any] = {"n": len(pairs), "spearman": None, "auroc": None}
        with suppress(MetricError):
            figures["spearman"] = round(spearman(ratings, scores), 4)
        with suppress(MetricError):
            span = bootstrap(auroc, labels, scores)
            figures["auroc"], figures["interval"] = round(span.value, 4), [round(span.low, 4), round(span.high, 4)]
        result[attribute] = figures
    show("quality", data, result, as_json=as_json, save=save)
