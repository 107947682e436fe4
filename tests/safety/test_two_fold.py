"""Rates without a known threshold: each half is judged with the other half's."""

from __future__ import annotations

import numpy as np
import pytest

from safety.metrics import auroc, two_fold


def test_a_threshold_learned_on_one_half_holds_on_the_other():
    rng = np.random.default_rng(0)
    unsafe = rng.integers(0, 2, 2000)
    p_safe = np.clip(rng.normal(0.7 - 0.4 * unsafe, 0.15), 0, 1)
    figures = two_fold(unsafe, p_safe, [f"context {i}" for i in range(2000)], resamples=20)
    assert figures.auroc == pytest.approx(auroc(unsafe, 1 - p_safe))
    assert 0.03 < figures.false_positive_rate < 0.07
    assert figures.recall > 0.75


def test_it_does_not_flatter_scores_that_know_nothing():
    rng = np.random.default_rng(1)
    unsafe, p_safe = rng.integers(0, 2, 2000), rng.random(2000)
    figures = two_fold(unsafe, p_safe, [str(i) for i in range(2000)], resamples=20)
    assert figures.recall == pytest.approx(figures.false_positive_rate, abs=0.05)
