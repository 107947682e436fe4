"""The benchmark measures what it says; its figures belong to whoever runs it."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from embodied.world import Scene, Step
from tests.benchmarks import world
from tests.benchmarks.world import attempts_of, explorations, goals_reached, measure, programs, run_oracle
from tests.embodied.oracle import Oracle, state_of


def test_a_small_run_gives_every_figure(upstream: Path) -> None:
    found = measure(size=4, goals=4, repeats=2, upstream=upstream)
    assert found["n"] == attempts_of(programs(4), stop=True) + attempts_of(explorations(1, 200), stop=False)
    assert found["repeats"] == 2
    assert found["ratio"] > 20
    assert found["state_copy_us"] < 50
    assert found["goals_reached"] == 1.0
    assert found["simulations_per_second"] > 200


def test_the_public_simulator_is_run_as_often_and_its_median_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = [9.0, 2.0, 1.0]
    """CPU seconds of a step in each of the runs; the first one warms up."""
    clock = 0.0
    made: list[Stub] = []

    class Stub:
        def __init__(self, scene: Scene, unpacked: Path, *, sort: bool) -> None:
            self.parsed = self.resets = self.runs = 0
            made.append(self)

        def parse(self, step: Step) -> Step:
            self.parsed += 1
            return step

        def reset(self) -> None:
            self.resets += 1

        def run(self, script: Any) -> bool:
            nonlocal clock
            clock += costs[self.resets - 1]
            self.runs += 1
            return True

    monkeypatch.setattr("tests.embodied.oracle.Oracle", Stub)
    monkeypatch.setattr(world, "time", SimpleNamespace(process_time=lambda: clock))
    load = programs(3)
    steps = [len(each) for _, each in load]
    assert run_oracle(load, Path(), stop=True, repeats=3) == (2.0 * sum(steps), sum(steps))
    assert [(one.parsed, one.resets, one.runs) for one in made] == [(count, 3, 3 * count) for count in steps]


def test_the_public_simulator_starts_again_where_it_began(upstream: Path) -> None:
    [(scene, steps)] = explorations(1, 60)
    oracle = Oracle(scene, upstream, sort=False)
    scripts, began, runs = [oracle.parse(step) for step in steps], state_of(oracle), []
    for _ in range(2):
        oracle.reset()
        assert state_of(oracle) == began
        runs.append(([oracle.run(script) for script in scripts], state_of(oracle)))
    assert runs[0] == runs[1]
    assert runs[0][1] != began


def test_waiting_is_no_search_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def wait(*given: Any, **settings: Any) -> SimpleNamespace:
        time.sleep(0.1)
        return SimpleNamespace(ok=True, seconds=0.1)

    monkeypatch.setattr(world, "search", wait)
    reached, median = goals_reached(2)
    assert reached == 1.0
    assert median < 0.05
