"""The benchmark measures what it says; its figures belong to whoever runs it."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.world import attempts_of, explorations, measure, programs


def test_a_small_run_gives_every_figure(upstream: Path) -> None:
    found = measure(size=4, goals=4, repeats=1, upstream=upstream)
    assert found["n"] == attempts_of(programs(4), stop=True) + attempts_of(explorations(1, 200), stop=False)
    assert found["ratio"] > 20
    assert found["state_copy_us"] < 50
    assert found["goals_reached"] == 1.0
    assert found["simulations_per_second"] > 200
