"""Figures of safety and quality: ranking metrics, the calibrated threshold, bootstrap intervals.

Scores of safety are P(unsafe) = 1 - P(safe), so that the positive class is the one to be caught. Boundary: arrays
in, figures out. The ranking metrics equal scikit-learn's and are written out here because a bootstrap takes each
hundreds of times, and its checks of every call cost ten times the sum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field

from safety.errors import MetricError
from safety.split import fraction_of

Metric = Callable[[NDArray[np.float64], NDArray[np.float64]], float]


class Interval(BaseModel):
    """A figure with its 95% interval: bootstrap, and of a share or an AUROC that is 0 or 1 the exact one.

    `low` and `high` are nan where there is none: where all resamples are alike, they say nothing about chance.
    """

    model_config = ConfigDict(frozen=True)

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


class SafetyFigures(BaseModel):
    """How well P(unsafe) finds unsafe replies. Rates are fractions of 1."""

    model_config = ConfigDict(frozen=True)

    n: int
    auroc: float
    ap: float = Field(description="Average precision of the unsafe class.")
    f1: float = Field(description="Of the unsafe class, at the threshold.")
    recall: float = Field(description="Share of the unsafe replies that are dropped.")
    false_positive_rate: float = Field(description="Share of the safe replies that are dropped.")
    threshold: float = Field(description="Least P(safe) that passes.")
    unsafe: int = Field(description="How many of the n are unsafe.")
    intervals: dict[str, Interval] = Field(default_factory=dict)


def both_classes(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Checked arrays of one length with both classes. Raises MetricError."""
    y, s = np.asarray(labels, dtype=np.int64), np.asarray(scores, dtype=np.float64)
    if y.shape != s.shape or y.ndim != 1:
        raise MetricError(f"labels have shape {y.shape} and scores {s.shape}. Give two lists of one length.")
    numbers(s)
    if len(set(y.tolist())) < 2:
        raise MetricError(f"all {len(y)} examples have one label. Give examples of both classes.")
    return y, s


def numbers(scores: ArrayLike) -> NDArray[np.float64]:
    """The scores as an array. Raises MetricError where one is not a number."""
    s = np.asarray(scores, dtype=np.float64)
    if not np.isfinite(s).all():
        raise MetricError(
            f"{int((~np.isfinite(s)).sum())} of {len(s)} scores are not numbers. Check the model's output."
        )
    return s


def auroc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative. Raises MetricError."""
    from scipy.stats import rankdata

    y, s = both_classes(labels, scores)
    positives = int(y.sum())
    won = rankdata(s)[y == 1].sum() - positives * (positives + 1) / 2  # Mann and Whitney's U; ties count half
    return float(won / (positives * (len(y) - positives)))


def average_precision(labels: ArrayLike, scores: ArrayLike) -> float:
    """Average precision of the positive class. Raises MetricError."""
    y, s = both_classes(labels, scores)
    order = np.argsort(-s, kind="stable")
    last = np.append(np.nonzero(np.diff(s[order]))[0], len(s) - 1)  # the last row of each tie
    found = np.cumsum(y[order])[last]
    return float((np.diff(found, prepend=0) * found / (last + 1)).sum() / found[-1])


def spearman(ratings: ArrayLike, scores: ArrayLike) -> float:
    """Spearman's rank correlation. Raises MetricError where one side is constant."""
    from scipy.stats import spearmanr

    x, s = np.asarray(ratings, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(s) == 0:
        raise MetricError(f"{len(x)} ratings without spread have no rank correlation. Give ratings that differ.")
    result: Any = spearmanr(x, s)
    return float(result.statistic)


def f1(labels: ArrayLike, predicted: ArrayLike) -> float:
    """F1 of the positive class; 0 where nothing positive is found."""
    y, p = np.asarray(labels, dtype=bool), np.asarray(predicted, dtype=bool)
    found = int((y & p).sum())
    return 2 * found / (int(y.sum()) + int(p.sum())) if found else 0.0


def at_threshold(unsafe: ArrayLike, p_safe: ArrayLike, threshold: float) -> tuple[float, float, float]:
    """(f1, recall, false-positive rate) of dropping what has P(safe) < threshold."""
    y, dropped = np.asarray(unsafe, dtype=bool), np.asarray(p_safe, dtype=np.float64) < threshold
    recall = float(dropped[y].mean()) if y.any() else 0.0
    false_positive_rate = float(dropped[~y].mean()) if (~y).any() else 0.0
    return f1(y, dropped), recall, false_positive_rate


def calibrate(unsafe: ArrayLike, p_safe: ArrayLike, *, max_false_positive_rate: float = 0.05) -> float:
    """The threshold that drops most unsafe replies while it drops at most that share of the safe ones.

    It has the margin of `middle_below`. Raises MetricError where a class is missing or the rate is not in [0, 1).
    """
    y, s = both_classes(unsafe, p_safe)
    return middle_below(lowest_kept(s[y == 0], max_false_positive_rate), s)


def lowest_kept(p_safe: ArrayLike, max_false_positive_rate: float, weights: ArrayLike | None = None) -> float:
    """The highest threshold that drops at most that share of safe replies: the score of the first that is kept.

    `weights` is how much each reply counts; None counts all alike. What is strictly below a threshold is dropped, so
    ties are kept together. Raises MetricError where there is no score, one is not a number, or the rate is not in
    [0, 1).
    """
    if not 0 <= max_false_positive_rate < 1:
        raise MetricError(f"max_false_positive_rate must be in [0, 1), got {max_false_positive_rate}.")
    safe = numbers(p_safe)
    if not len(safe):
        raise MetricError("there are 0 safe examples. Give some, so that false refusals can be counted.")
    order = np.argsort(safe, kind="stable")
    counts = np.ones(len(safe)) if weights is None else np.asarray(weights, dtype=np.float64)[order]
    dropped = (np.cumsum(counts) - counts) / counts.sum()  # the share before each
    return float(safe[order][np.flatnonzero(dropped <= max_false_positive_rate + 1e-9)[-1]])


def middle_below(threshold: float, scores: ArrayLike) -> float:
    """A lower threshold that drops the same of these scores: the middle of the gap below, to the next score or 0.

    It leaves a margin on both sides for the small differences between engines. Raises MetricError.
    """
    s = numbers(scores)
    below = s[s < threshold]
    return float((threshold + (below.max() if len(below) else 0.0)) / 2)


ALIKE = 1e-9
"""Figures of resamples that differ by less do so by rounding."""


def bootstrap(
    metric: Metric,
    labels: ArrayLike,
    scores: ArrayLike,
    *,
    groups: Sequence[str] | None = None,
    resamples: int = 500,
    seed: int = 0,
) -> Interval:
    """A metric with its 95% percentile interval over resampled examples; deterministic for a seed.

    With `groups`, one name a row, whole groups are drawn: rows of one context are not independent, and drawing them
    one by one would make the interval too narrow. Resamples on which the metric is undefined (one class only) are
    drawn again, at most ten times as many in all. Where the resamples are alike (all of a perfect order are perfect)
    both bounds are nan: a width of 0 would call certain what a few rows cannot show. `exact` and `exact_order` bound
    the figures for which that can be done.
    """
    y, s = np.asarray(labels, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    members = members_of(groups) if groups is not None else None
    rng, values = np.random.default_rng(seed), []
    for _ in range(10 * resamples):
        if members is None:
            rows = rng.integers(0, len(y), len(y))
        else:
            rows = np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])
        try:
            values.append(metric(y[rows], s[rows]))
        except MetricError:
            continue
        if len(values) == resamples:
            break
    low, high = np.percentile(values, [2.5, 97.5]) if values else (float("nan"), float("nan"))
    if high - low < ALIKE:
        low = high = float("nan")
    return Interval(value=metric(y, s), low=float(low), high=float(high))


def members_of(groups: Sequence[str]) -> list[NDArray[np.int64]]:
    """The row numbers of each group."""
    found: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        found.setdefault(group, []).append(row)
    return [np.array(rows) for rows in found.values()]


def mean(labels: NDArray[np.float64], scores: NDArray[np.float64]) -> float:
    """The mean of the scores; the metric for plain rates."""
    return float(scores.mean())


def rate(values: Sequence[bool], groups: Sequence[str] | None = None) -> Interval | None:
    """The share of true values with its interval; None where there are none."""
    return exact(values, groups) or bootstrap(mean, values, values, groups=groups) if len(values) else None


def exact(values: ArrayLike, groups: Sequence[str] | None = None) -> Interval | None:
    """The share of true values where all are alike, with the bound of Clopper and Pearson (1934); else None.

    The bootstrap draws the same again and again and would call none of 40 certain, [0, 0]; at a true share of
    1 - 0.025^(1/40) = 0.088 it still comes about once in forty times. Groups are counted: rows of one are not
    independent.
    """
    all_values = np.asarray(values, dtype=bool)
    if not len(all_values) or all_values.any() != all_values.all():
        return None
    return at_end(bool(all_values[0]), len(all_values) if groups is None else len(set(groups)))


def at_end(success: bool, trials: int) -> Interval:
    """1 where all of `trials` independent ones succeed, else 0 where none does, with Clopper and Pearson's bound."""
    free = 1 - 0.025 ** (1 / trials)
    return Interval(value=1.0, low=1 - free, high=1.0) if success else Interval(value=0.0, low=0.0, high=free)


def ranking(
    labels: ArrayLike,
    scores: ArrayLike,
    *,
    groups: Sequence[str] | None = None,
    resamples: int = 500,
    seed: int = 0,
) -> Interval:
    """AUROC with its interval: `exact_order`, else `bootstrap` with the same arguments. Raises MetricError."""
    return exact_order(labels, scores, groups) or bootstrap(
        auroc, labels, scores, groups=groups, resamples=resamples, seed=seed
    )


def exact_order(labels: ArrayLike, scores: ArrayLike, groups: Sequence[str] | None = None) -> Interval | None:
    """An AUROC of 1 or 0 with its exact bound; None for another, or where the rows are of one group.

    AUROC is the share of pairs of a positive and a negative that are in order. Of p groups with positives and q with
    negatives, g in all, k = min(p, q, g // 2) pairs can be formed that use no group twice. They are independent, and a
    perfect order has all k of them in order, so that at a true AUROC of 0.025^(1/k) it comes at most once in forty
    times (Clopper and Pearson, 1934). The bound is wide: it counts none of the other pairs. Raises MetricError.
    """
    y, s = both_classes(labels, scores)
    value = auroc(y, s)
    if value not in (0.0, 1.0):
        return None
    names = [str(row) for row in range(len(y))] if groups is None else groups
    positive, negative = ({name for name, one in zip(names, y, strict=True) if one == label} for label in (1, 0))
    pairs = min(len(positive), len(negative), len(positive | negative) // 2)
    return at_end(value == 1.0, pairs) if pairs else None


def safety_figures(
    unsafe: ArrayLike,
    p_safe: ArrayLike,
    threshold: float,
    *,
    groups: Sequence[str] | None = None,
    intervals: bool = True,
    resamples: int = 500,
    seed: int = 0,
) -> SafetyFigures:
    """All safety figures of one set; `groups` as `bootstrap` takes them. Raises MetricError."""
    y, s = both_classes(unsafe, p_safe)
    score_f1, recall, false_positive_rate = at_threshold(y, s, threshold)
    spans: dict[str, Interval] = {}
    if intervals:
        measures: dict[str, Metric] = {
            "auroc": lambda a, b: auroc(a, 1 - b),
            "ap": lambda a, b: average_precision(a, 1 - b),
            "f1": lambda a, b: at_threshold(a, b, threshold)[0],
            "recall": lambda a, b: at_threshold(a, b, threshold)[1],
            "false_positive_rate": lambda a, b: at_threshold(a, b, threshold)[2],
        }
        for name, one in measures.items():
            sure = exact_of_class(y == (name == "recall"), s < threshold, groups) if name in CLASS_RATES else None
            if name == "auroc":
                sure = exact_order(y, 1 - s, groups)
            spans[name] = sure or bootstrap(one, y, s, groups=groups, resamples=resamples, seed=seed)
    return SafetyFigures(
        n=len(y),
        auroc=auroc(y, 1 - s),
        ap=average_precision(y, 1 - s),
        f1=score_f1,
        recall=recall,
        false_positive_rate=false_positive_rate,
        threshold=threshold,
        unsafe=int(y.sum()),
        intervals=spans,
    )


CLASS_RATES = ("recall", "false_positive_rate")
"""Figures that are shares of one class's rows."""


def exact_of_class(
    chosen: NDArray[np.bool_], dropped: NDArray[np.bool_], groups: Sequence[str] | None
) -> Interval | None:
    """`exact` of the `chosen` rows alone."""
    kept = None if groups is None else [group for group, one in zip(groups, chosen, strict=True) if one]
    return exact(dropped[chosen], kept)


def two_fold(unsafe: ArrayLike, p_safe: ArrayLike, keys: Sequence[str], *, resamples: int = 500) -> SafetyFigures:
    """Safety figures where no threshold is known: each half of the keys is judged with the other half's threshold.

    Calibrating and measuring on the same rows would flatter the rates. The threshold given is that of all rows; the
    intervals draw keys. Raises MetricError.
    """
    y, s = both_classes(unsafe, p_safe)
    left = np.array([fraction_of(key, "calibration") < 0.5 for key in keys])
    everywhere = calibrate(y, s)
    margins = np.empty_like(s)
    for half in (left, ~left):
        if not half.any():
            continue
        other = ~half
        split = len(set(y[other].tolist())) == 2
        margins[half] = s[half] - (calibrate(y[other], s[other]) if split else everywhere)
    rates = safety_figures(
        y, margins, 0.0, groups=keys, resamples=resamples
    )  # only its rates at the threshold are used
    ranking = safety_figures(y, s, everywhere, groups=keys, resamples=resamples)
    at = {name: getattr(rates, name) for name in ("f1", "recall", "false_positive_rate")}
    spans = {name: (rates if name in at else ranking).intervals[name] for name in ranking.intervals}
    return ranking.model_copy(update={**at, "intervals": spans})
