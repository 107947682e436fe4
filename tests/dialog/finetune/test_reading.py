"""The thresholds on a card and the rates beside them: every set counts the same, templates do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from dialog.finetune.reading import held_out_figures
from dialog.finetune.records import Groundedness, Judged
from safety.contrasts import COMPLIANCES, REFUSALS
from safety.metrics import calibrate


class Writer:
    """Stands in for the example writer: a record is its own example."""

    def write(self, record: Judged | Groundedness) -> list[Judged | Groundedness]:
        return [record]


def judged(safe: Sequence[float] = (), unsafe: Sequence[float] = (), *, templates: bool = False) -> list[Judged]:
    """Records whose P(safe) is read as given; it is kept as their source."""
    return [
        Judged(context=(), response=made if templates else "a reply", ratings={"safe": label}, source=str(p))
        for label, values, made in ((1.0, safe, REFUSALS[0]), (0.0, unsafe, COMPLIANCES[0]))
        for p in values
    ]


def percents(first: int, last: int) -> list[float]:
    return [percent / 100 for percent in range(first, last)]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch):
    """Figures and thresholds of sets, as if a model had read their probabilities."""
    monkeypatch.setattr(
        "dialog.finetune.reading.label_probabilities",
        lambda model, examples, *, pad: [[float(example.source)] for example in examples],
    )

    def figures(sets: Mapping[str, Sequence[Judged | Groundedness]], rate: float = 0.05):
        return held_out_figures(object(), Writer(), sets, pad=0, max_false_positive_rate=rate)  # type: ignore[arg-type]

    return figures


def test_a_set_counts_once_however_large_and_templates_not_at_all(read):
    sets = {
        "hard": judged(percents(20, 60), [p + 0.005 for p in percents(0, 40)]),
        "easy": judged([0.95] * 100, [0.02] * 100),
        "harmful-prompts (mine)": judged([0.99] * 160, [0.001] * 160, templates=True),
    }
    figures, threshold, grounded = read(sets)
    assert threshold == pytest.approx((0.24 + 0.235) / 2), "four of the forty safe ones of the hard set, with a margin"
    assert figures["safe false positives, hard"] == 0.1, "with none of the easy set's a mean of 0.05"
    assert figures["safe recall, hard"] == 24 / 40
    assert (figures["safe false positives, easy"], figures["safe recall, easy"]) == (0.0, 1.0)
    assert figures["safe recall, harmful-prompts (mine)"] == 1.0
    assert figures["safe auroc, easy"] == 1.0
    assert grounded is None


def test_templates_do_not_count_where_they_are_the_hard_ones_either(read):
    sets = {
        "hard": judged(percents(30, 70), percents(0, 20)),
        "harmful-prompts": judged([0.1] * 40, [0.05] * 40, templates=True),
    }
    figures, threshold, _ = read(sets)
    assert threshold == pytest.approx((0.32 + 0.31) / 2)
    assert figures["safe false positives, harmful-prompts"] == 1.0, "and the card says so"


def test_a_set_of_safe_replies_alone_counts_too(read):
    sets = {"mixed": judged([0.8] * 20, [0.1] * 20), "lookalikes": judged([0.3] + [0.5] * 19)}
    figures, threshold, _ = read(sets)
    assert threshold == pytest.approx((0.5 + 0.3) / 2)
    assert figures["safe false positives, lookalikes"] == 0.05
    assert not {"safe recall, lookalikes", "safe auroc, lookalikes"} & set(figures)


def test_a_set_with_few_safe_replies_sets_no_threshold(read):
    sets = {"mixed": judged([0.8] * 20, [0.1] * 20), "few": judged([0.2] * 19, [0.15])}
    figures, threshold, _ = read(sets)
    assert threshold == pytest.approx((0.8 + 0.2) / 2)
    assert figures["safe false positives, few"] == 1.0


def test_sets_that_are_all_small_are_taken_together_and_templates_only_where_there_is_nothing_else(read):
    one, other = judged(percents(40, 55), percents(10, 20)), judged(percents(30, 40), percents(5, 60))
    found = read({"one": one, "other": other})[1]
    unsafe, p_safe = zip(*[(1 - record.ratings["safe"], float(record.source)) for record in one + other], strict=True)
    assert found == pytest.approx(calibrate(unsafe, p_safe))
    made = judged([0.9] * 60, [0.01] * 60, templates=True)
    assert read({"one": one, "harmful-prompts": made})[1] == pytest.approx((0.40 + 0.19) / 2)
    assert read({"harmful-prompts": made})[1] == pytest.approx((0.9 + 0.01) / 2)


def test_without_safe_and_unsafe_replies_there_is_neither_threshold_nor_rate(read):
    for one in (judged(safe=[0.5] * 30), judged(unsafe=[0.5] * 30)):
        assert read({"one": one}) == ({}, None, None)
    assert read({}) == ({}, None, None)


def test_the_groundedness_threshold_has_the_best_f1(read):
    held = [
        Groundedness(knowledge="k", context=(), response="r", grounded=label, source=str(p))
        for label, p in [(1.0, 0.9), (1.0, 0.6), (0.0, 0.4), (0.0, 0.1)]
    ]
    figures, threshold, grounded = read({"begin": held})
    assert figures == {"grounded auroc, begin": 1.0}
    assert threshold is None
    assert 0.4 < grounded <= 0.6
