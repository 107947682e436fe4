"""Plain rivals of a tuned safety judge, on the same records: a probe on sentence embeddings, and a word list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from serve.cli.eval_common import intervals_of, opening, safety_spans, values_of

if TYPE_CHECKING:
    from safety.records import SafetyRecord


def baselines(records: Sequence[SafetyRecord], train: Sequence[SafetyRecord] | None) -> dict[str, Any]:
    """Each baseline's figures with intervals; the probe only where there are records to fit it on.

    Of the word list, auroc and ap rank by the share of a reply's words that are on it; recall and false_positive_rate
    drop every reply with such a word. `train` needs records of both classes.
    """
    from safety.profanity import share_of_profanity

    labels, groups = [r.unsafe for r in records], [opening(r.context, r.response) for r in records]
    clean = [1.0 - share_of_profanity(record.response) for record in records]
    found = {"word list": figures(safety_spans(labels, clean, 1.0, groups), groups)}
    if train is not None:
        probed = safety_spans(labels, minilm_probe(train, records), 0.5, groups)
        ranking = {name: probed[name] for name in ("auroc", "ap")}
        found["MiniLM probe"] = {**figures(ranking, groups), "fitted_on": len(train)}
    return found


def figures(spans: Mapping[str, Any], groups: Sequence[str]) -> dict[str, Any]:
    return {**values_of(spans), "intervals": intervals_of(spans, groups)}


def minilm_probe(train: Sequence[SafetyRecord], test: Sequence[SafetyRecord]) -> list[float]:
    """P(safe) by logistic regression on MiniLM embeddings of context and reply, fitted on `train`."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from serve.tools import embedder

    encoder = embedder().load()

    def vectors(records: Sequence[SafetyRecord]) -> Any:
        contexts = encoder.queries([" ".join(t.content for t in r.context)[-1000:] or " " for r in records])
        replies = encoder.queries([r.response[:1000] for r in records])
        return np.hstack([contexts, replies, contexts * replies])

    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))
    probe.fit(vectors(train), [r.unsafe for r in train])
    return probe.predict_proba(vectors(test))[:, 0].tolist()
