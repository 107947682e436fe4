"""`groundling eval safety`: how well P(safe) tells unsafe replies from safe ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from serve.cli.eval_common import Judge, adapter_card, chosen, intervals_of, model_options, show, with_judge


@click.command()
@model_options
@click.option("--threshold", type=click.FloatRange(0, 1), help="Least P(safe) that passes.  [default: the adapter's]")
@click.option(
    "--train", type=click.Path(path_type=Path), help="Safety records to fit a linear MiniLM probe on, as a baseline."
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

    \b
    Examples:
      groundling eval safety --data diasafety.jsonl --adapter judge
      groundling eval safety --data mine.jsonl --limit 500 --save results --json
    """
    from safety.metrics import safety_figures, two_fold
    from safety.records import SafetyRecord, read_records
    from serve.progress import progress

    records = read_records(data, SafetyRecord, limit=limit)
    card = adapter_card(options)
    if threshold is None and card is not None:
        threshold = card.safety_threshold

    async def work(judge: Judge) -> list[float]:
        with progress("judging", len(records)) as done:
            found = await judge.attributes([(r.context, r.response) for r in records], ["safe"], done)
        return [each["safe"] for each in found]

    p_safe = with_judge(chosen(**options), work)
    unsafe = [record.unsafe for record in records]
    if threshold is None:
        keys = [record.context[0].content if record.context else record.response for record in records]
        figures, source = two_fold(unsafe, p_safe, keys), "this data, in two halves"
    else:
        figures, source = safety_figures(unsafe, p_safe, threshold), "card" if card else "option"
    result: dict[str, Any] = {
        **{name: round(value, 4) for name, value in figures.model_dump(exclude={"intervals"}).items()},
        "threshold": figures.threshold,
        "threshold_from": source,
        "intervals": intervals_of(figures.intervals),
    }
    if train is not None:
        result["minilm_probe_auroc"] = round(minilm_probe(read_records(train, SafetyRecord), records), 4)
    show(
        "safety", data, result, as_json=as_json, save=save, scores={"labels": unsafe, "scores": [1 - p for p in p_safe]}
    )


def minilm_probe(train: list[Any], test: list[Any]) -> float:
    """AUROC of logistic regression on MiniLM embeddings of context and reply: the plain rival of a tuned judge."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from safety.metrics import auroc
    from serve.tools import embedder

    encoder = embedder().load()

    def vectors(records: list[Any]) -> Any:
        contexts = encoder.queries([" ".join(t.content for t in r.context)[-1000:] or " " for r in records])
        replies = encoder.queries([r.response[:1000] for r in records])
        return np.hstack([contexts, replies, contexts * replies])

    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))
    probe.fit(vectors(train), [r.unsafe for r in train])
    return auroc([r.unsafe for r in test], probe.predict_proba(vectors(test))[:, 1])
