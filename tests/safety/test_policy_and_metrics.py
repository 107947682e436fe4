"""The policy's decision, and the metrics against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from safety.errors import MetricError
from safety.metrics import (
    at_threshold,
    auroc,
    average_precision,
    bootstrap,
    calibrate,
    exact_order,
    f1,
    lowest_kept,
    middle_below,
    ranking,
    rate,
    safety_figures,
    spearman,
)
from safety.objectives import BY_NAME, DIASAFETY, OBJECTIVES, SOCIAL_BIAS_FRAMES, TOXICHAT
from safety.policy import Policy
from safety.profanity import share_of_profanity


def test_a_filter_drops_below_the_threshold_and_releases_at_it():
    policy = Policy(threshold=0.4)
    assert [policy.releases(p) for p in (0.39, 0.4, 1.0)] == [False, True, True]


def test_annotating_releases_everything_but_still_says_what_would_be_dropped():
    policy = Policy(threshold=0.4, mode="annotate")
    assert policy.releases(0.1)
    assert not policy.passes(0.1)


def test_a_probability_that_is_not_a_number_never_passes():
    assert not Policy(threshold=0.0).passes(float("nan"))


@pytest.mark.parametrize("wrong", [{"threshold": 1.5}, {"mode": "block"}, {"fixed_reply": ""}, {"treshold": 0.5}])
def test_a_policy_out_of_range_is_refused(wrong: dict):
    with pytest.raises(ValidationError):
        Policy(**wrong)


def test_every_data_set_category_maps_to_a_written_objective():
    for mapping in (DIASAFETY, TOXICHAT, SOCIAL_BIAS_FRAMES):
        assert set(mapping.values()) <= set(BY_NAME)
    assert {objective.family for objective in OBJECTIVES} == {"harm", "bias", "misinformation"}


def test_auroc_counts_the_pairs_in_order():
    # positives 0.8, 0.3 against negatives 0.5, 0.3, 0.1: pairs won 3 + 1, tied 1/2, of 6
    assert auroc([1, 0, 1, 0, 0], [0.8, 0.5, 0.3, 0.3, 0.1]) == pytest.approx(4.5 / 6)


def test_average_precision_is_the_mean_precision_at_each_positive():
    assert average_precision([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1]) == pytest.approx((1 / 1 + 2 / 3) / 2)


@pytest.mark.parametrize("steps", [4, 1000])
def test_ranking_metrics_equal_scikit_learns_also_with_ties(steps: int):
    from sklearn.metrics import average_precision_score, roc_auc_score

    rng = np.random.default_rng(steps)
    labels, scores = rng.integers(0, 2, 300), rng.integers(0, steps, 300) / steps
    assert auroc(labels, scores) == pytest.approx(roc_auc_score(labels, scores))
    assert average_precision(labels, scores) == pytest.approx(average_precision_score(labels, scores))


def test_f1_recall_and_false_positives_at_a_threshold():
    unsafe, p_safe = [1, 1, 1, 0, 0, 0, 0], [0.1, 0.2, 0.9, 0.1, 0.6, 0.7, 0.8]
    score, recall, false_positives = at_threshold(unsafe, p_safe, 0.5)
    assert recall == pytest.approx(2 / 3)
    assert false_positives == pytest.approx(1 / 4)
    assert score == pytest.approx(2 * 2 / (3 + 3))


def test_f1_of_nothing_found_is_zero():
    assert f1([1, 0], [False, False]) == 0.0


def test_calibration_keeps_false_refusals_under_the_limit_and_catches_all_it_can():
    rng = np.random.default_rng(0)
    unsafe = np.r_[np.ones(200), np.zeros(300)]
    p_safe = np.r_[rng.beta(2, 5, 200), rng.beta(5, 2, 300)]
    threshold = calibrate(unsafe, p_safe, max_false_positive_rate=0.05)
    _, recall, false_positives = at_threshold(unsafe, p_safe, threshold)
    assert false_positives <= 0.05
    stricter = [at_threshold(unsafe, p_safe, t) for t in np.unique(p_safe) + 1e-12]
    assert recall >= max(r for _, r, fp in stricter if fp <= 0.05)


def test_calibration_on_separable_scores_sits_between_the_classes():
    assert calibrate([1, 1, 0, 0], [0.1, 0.2, 0.8, 0.9], max_false_positive_rate=0.0) == pytest.approx(0.5)


def test_safe_replies_alone_have_a_threshold_that_keeps_ties_together():
    p_safe = [0.9, 0.1, 0.5, 0.5, 0.7]
    assert lowest_kept(p_safe, 0.0) == 0.1
    assert lowest_kept(p_safe, 0.2) == 0.5
    assert lowest_kept(p_safe, 0.4) == 0.5  # two fifths may go, but both of 0.5 would make it three
    assert lowest_kept(p_safe, 0.6) == 0.7
    assert lowest_kept([0.1, 0.2, 0.3], 0.5, [2.0, 1.0, 1.0]) == 0.2  # the first counts as two of four
    for rate_, message in [(1.0, r"must be in \[0, 1\), got 1\.0"), (-0.1, "got -0.1")]:
        with pytest.raises(MetricError, match=message):
            lowest_kept(p_safe, rate_)
    with pytest.raises(MetricError, match="0 safe examples"):
        lowest_kept([], 0.05)
    with pytest.raises(MetricError, match="1 of 2 scores are not numbers"):
        lowest_kept([0.5, float("nan")], 0.05)


def test_the_margin_is_half_the_gap_to_the_next_score():
    assert middle_below(0.5, [0.9, 0.5, 0.5, 0.3, 0.1]) == pytest.approx(0.4)
    assert middle_below(0.5, [0.9, 0.5]) == pytest.approx(0.25)  # nothing below: the gap ends at 0


def test_the_bootstrap_interval_of_a_rate_is_near_the_binomial_one_and_repeats():
    labels = np.r_[np.ones(300), np.zeros(700)]
    interval = bootstrap(lambda y, s: float(y.mean()), labels, labels, seed=3)
    assert interval == bootstrap(lambda y, s: float(y.mean()), labels, labels, seed=3)
    half = 1.96 * np.sqrt(0.3 * 0.7 / 1000)
    assert interval.low == pytest.approx(0.3 - half, abs=0.006)
    assert interval.high == pytest.approx(0.3 + half, abs=0.006)


def test_the_bootstrap_draws_whole_contexts():
    # Ten rows of each context agree, so 1,000 rows tell as much as 100: the interval is about √10 times as wide.
    rng = np.random.default_rng(2)
    of_context = rng.random(100) < 0.3
    values, groups = np.repeat(of_context, 10), [f"context {i // 10}" for i in range(1000)]
    rows, contexts = rate(values.tolist()), rate(values.tolist(), groups)
    assert rows is not None
    assert contexts is not None
    assert contexts.value == rows.value == pytest.approx(of_context.mean())
    assert contexts.high - contexts.low == pytest.approx(np.sqrt(10) * (rows.high - rows.low), rel=0.15)
    half = 1.96 * np.sqrt(contexts.value * (1 - contexts.value) / 100)
    assert contexts.low == pytest.approx(contexts.value - half, abs=0.02)


def test_a_rate_of_0_or_1_has_the_exact_bound_on_the_number_of_groups():
    from scipy.stats import binomtest

    for count, groups in ((40, None), (40, [str(i // 4) for i in range(40)])):
        independent = len(set(groups)) if groups else count
        none, all_ = rate([False] * count, groups), rate([True] * count, groups)
        assert none is not None
        assert all_ is not None
        found = binomtest(0, independent).proportion_ci(method="exact")
        assert (none.value, none.low, none.high) == pytest.approx((0.0, 0.0, found.high))
        assert (all_.value, all_.low, all_.high) == pytest.approx((1.0, 1 - found.high, 1.0))
    assert round(rate([False] * 40).high, 3) == 0.088  # type: ignore[union-attr]
    drawn = rate([True] + [False] * 39)
    assert drawn is not None
    assert (drawn.low, drawn.high) == pytest.approx((0.0, 0.075)), "drawn again where there is something to draw"


def test_recall_and_false_positives_of_0_or_1_have_it_too_on_their_own_rows():
    unsafe, p_safe = [1, 1, 1, 1] + [0] * 20, [0.6, 0.7, 0.8, 0.9] + [0.8] * 20
    spans = safety_figures(unsafe, p_safe, 0.5, resamples=20).intervals
    assert spans["recall"] == rate([False] * 4)
    assert spans["false_positive_rate"] == rate([False] * 20)
    grouped = safety_figures(unsafe, p_safe, 0.5, groups=[str(i // 2) for i in range(24)], resamples=20).intervals
    assert grouped["recall"] == rate([False] * 2)


def test_a_perfect_order_is_bounded_by_the_pairs_that_share_no_context():
    labels, scores = [1, 0] * 3, [0.9, 0.1] * 3
    # Rows on their own make three pairs; contexts that hold both classes only one, and four of them two.
    for groups, low in ((None, 0.025 ** (1 / 3)), (["a", "a", "b", "b", "c", "c"], 0.025)):
        found = ranking(labels, scores, groups=groups)
        assert (found.value, found.low, found.high) == pytest.approx((1.0, low, 1.0))
        wrong = ranking(labels, [-score for score in scores], groups=groups)
        assert (wrong.value, wrong.low, wrong.high) == pytest.approx((0.0, 0.0, 1 - low))
    four = exact_order([1, 0] * 4, [0.9, 0.1] * 4, [str(i // 2) for i in range(8)])
    assert four is not None
    assert four.low == pytest.approx(0.025**0.5)
    few = exact_order([1] * 2 + [0] * 50, [0.9] * 2 + [0.1] * 50, ["a", "b", *map(str, range(50))])
    assert few is not None
    assert few.low == pytest.approx(0.025**0.5), "two positives make two pairs, whatever the number of negatives"
    assert exact_order(labels, scores, ["one"] * 6) is None
    assert exact_order(labels, [0.9, 0.1, 0.9, 0.95, 0.9, 0.1]) is None
    assert ranking([1, 0, 1, 0], [0.9, 0.5, 0.4, 0.1]) == bootstrap(auroc, [1, 0, 1, 0], [0.9, 0.5, 0.4, 0.1])


@pytest.mark.parametrize(
    ("metric", "labels", "scores", "value"),
    [
        (average_precision, [1, 0] * 3, [0.9, 0.1] * 3, 1.0),
        (lambda y, s: f1(y, s > 0.5), [1, 0] * 3, [0.9, 0.1] * 3, 1.0),
        (lambda y, s: f1(y, s > 0.5), [1, 0] * 3, [0.1, 0.9] * 3, 0.0),
        (auroc, [1, 0] * 3, [0.5] * 6, 0.5),
        (spearman, [1, 2, 3, 4, 5, 6], [2, 3, 5, 7, 11, 13], 1.0),
        (spearman, [1, 2, 3, 4, 5, 6], [-2, -3, -5, -7, -11, -13], -1.0),
    ],
)
def test_a_figure_whose_resamples_are_all_alike_has_no_interval(metric, labels, scores, value: float):
    for groups in (None, ["a", "a", "b", "b", "c", "c"]):
        found = bootstrap(metric, labels, scores, groups=groups, resamples=100)
        assert found.value == pytest.approx(value)
        assert np.isnan([found.low, found.high]).all()


def test_the_figures_of_a_perfect_set_claim_no_certainty():
    unsafe, p_safe, contexts = [1, 0] * 3, [0.1, 0.9] * 3, ["a", "a", "b", "b", "c", "c"]
    spans = safety_figures(unsafe, p_safe, 0.5, groups=contexts).intervals
    assert {name: span.value for name, span in spans.items()} == {
        "auroc": 1.0, "ap": 1.0, "f1": 1.0, "recall": 1.0, "false_positive_rate": 0.0,
    }  # fmt: skip
    assert (spans["auroc"].low, spans["auroc"].high) == pytest.approx((0.025, 1.0))
    assert np.isnan([spans["ap"].low, spans["f1"].low]).all()
    assert spans["recall"].low == pytest.approx(0.025 ** (1 / 3))


def test_a_rate_of_nothing_is_none():
    assert rate([]) is None


def test_safety_figures_are_drawn_by_context_too():
    rng = np.random.default_rng(3)
    unsafe, p_safe = np.repeat(rng.integers(0, 2, 40), 8), np.repeat(rng.random(40), 8)
    alone = safety_figures(unsafe, p_safe, 0.5, resamples=100).intervals["recall"]
    grouped = safety_figures(unsafe, p_safe, 0.5, groups=[str(i // 8) for i in range(320)], resamples=100)
    assert grouped.intervals["recall"].high - grouped.intervals["recall"].low > 1.5 * (alone.high - alone.low)


def test_one_class_only_is_an_error_that_says_so():
    with pytest.raises(MetricError, match="both classes"):
        auroc([1, 1], [0.2, 0.3])
    with pytest.raises(MetricError, match="not numbers"):
        auroc([1, 0], [float("nan"), 0.3])


def test_spearman_sees_order_and_not_distance():
    assert spearman([1, 2, 3, 4], [1, 10, 100, 1000]) == pytest.approx(1.0)
    with pytest.raises(MetricError, match="without spread"):
        spearman([1, 1, 1], [1, 2, 3])


def test_all_figures_of_a_set_agree_with_the_single_ones():
    rng = np.random.default_rng(1)
    unsafe, p_safe = rng.integers(0, 2, 120), rng.random(120)
    figures = safety_figures(unsafe, p_safe, 0.5, resamples=50)
    assert figures.auroc == pytest.approx(auroc(unsafe, 1 - p_safe))
    assert figures.intervals["auroc"].low < figures.auroc < figures.intervals["auroc"].high
    assert (figures.f1, figures.recall, figures.false_positive_rate) == at_threshold(unsafe, p_safe, 0.5)


def test_the_word_list_counts_words_and_not_what_is_meant():
    assert share_of_profanity("You idiots, SHIT happens") == pytest.approx(2 / 4)
    assert share_of_profanity("I will find out where you live.") == 0.0  # a threat in plain words passes
    assert share_of_profanity("Scunthorpe's assistants assess classics") == 0.0  # whole words only
    assert share_of_profanity("… 123") == 0.0
