"""`groundling bench world`: the world's speed against the public simulator's, and the search's speed and success.

Both simulators run the same steps from the same homes: recorded programs, and random exploration with its failing
attempts. The public simulator is used as it is, its lines parsed beforehand. All times are CPU seconds of this process,
so that other work on the machine counts little, and both simulators' are medians over equally many repeats.
"""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from embodied.archive import default_archive
from embodied.explore import random_step
from embodied.homes import generate_home
from embodied.plan import Goal, SearchSettings, search
from embodied.plan.goal import Fact
from embodied.plan.sample import sample_goal
from embodied.world import Failure, Scene, Simulator, State, Step, execute, initial
from embodied.world.scene import RIGHT

Workload = list[tuple[Scene, list[Step]]]


def programs(count: int) -> Workload:
    """Recorded programs, spread over the archive."""
    recordings = default_archive().recordings
    return [(r.scene, list(r.program.steps)) for r in recordings[:: max(1, len(recordings) // count)][:count]]


def explorations(count: int, attempts: int) -> Workload:
    """Random exploration in recorded homes: every attempt, also those that fail."""
    found: Workload = []
    recordings = default_archive().recordings
    for seed in range(count):
        simulator = Simulator(recordings[seed * 61 % len(recordings)].scene, as_upstream=True)
        rng, state, steps = random.Random(seed), initial(simulator.scene), []
        for _ in range(attempts):
            step = random_step(simulator, state, rng)
            after = simulator.step(state, step)
            state = after if isinstance(after, State) else state
            steps.append(step)
        found.append((simulator.scene, steps))
    return found


def seconds(work: Callable[[], Any]) -> float:
    """CPU seconds of one call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def run_ours(load: Workload, *, stop: bool) -> float:
    """CPU seconds of this world; `stop` ends a program at its first failure."""
    total = 0.0
    for scene, steps in load:
        simulator, state = Simulator(scene, as_upstream=True), initial(scene)

        def work(simulator: Simulator = simulator, state: State = state, steps: list[Step] = steps) -> None:
            for step in steps:
                after = simulator.step(state, step)
                if isinstance(after, Failure):
                    if stop:
                        return
                else:
                    state = after

        total += seconds(work)
    return total


def run_oracle(load: Workload, upstream: Path, *, stop: bool, repeats: int) -> tuple[float, int]:
    """CPU seconds of the public simulator, the median over `repeats` runs, and the attempts of one run.

    A home is built and its lines are parsed once, beforehand, and each run begins in the home's first state.
    """
    from tests.embodied import oracle as public

    totals, attempts = [0.0] * repeats, 0
    for scene, steps in load:
        oracle = public.Oracle(scene, upstream, sort=False)
        scripts = [oracle.parse(step) for step in steps]

        def work(oracle: public.Oracle = oracle, scripts: list[Any] = scripts) -> int:
            for done, script in enumerate(scripts, 1):
                if not oracle.run(script) and stop:
                    return done
            return len(scripts)

        done = 0
        for repeat in range(repeats):
            oracle.reset()
            began = time.process_time()
            done = work()
            totals[repeat] += time.process_time() - began
        attempts += done
    return statistics.median(totals), attempts


def attempts_of(load: Workload, *, stop: bool) -> int:
    """Attempts that one run of a workload makes."""
    if not stop:
        return sum(len(steps) for _, steps in load)
    count = 0
    for scene, steps in load:
        outcome = execute(Simulator(scene, as_upstream=True), steps)
        count += outcome.done + (not outcome.ok)
    return count


def copy_microseconds() -> float:
    """Copying a state that 200 successful random steps have changed, in microseconds."""
    from embodied.explore import walk_about

    simulator = Simulator(default_archive().recordings[0].scene)
    state = walk_about(simulator, random.Random(0), steps=200)[-1]
    times = []
    for _ in range(7):
        times.append(seconds(lambda: [state.copy() for _ in range(20_000)]) / 20_000)
    return statistics.median(times) * 1e6


def search_speed(homes: int, simulations: int) -> float:
    """Simulations per CPU second on goals that cannot be reached (three things in two hands), so none stops early."""
    speeds = []
    for seed in range(homes):
        simulator = Simulator(generate_home(seed))
        goal = sample_goal(simulator, seed, facts=4)
        loose = [i for i, node in enumerate(simulator.scene.nodes) if "GRABBABLE" in node.properties][:3]
        facts = [f for f in goal.facts if f.kind != RIGHT] + [Fact(RIGHT, simulator.me, 1 << i) for i in loose]
        hard = Goal(simulator.scene, tuple(facts))
        used = seconds(
            lambda s=simulator, g=hard: search(s, g, settings=SearchSettings(simulations=simulations, seed=1))
        )
        speeds.append(simulations / used)
    return statistics.median(speeds)


def goals_reached(count: int) -> tuple[float, float]:
    """Fraction of sampled goals reached within the default budget, and the median search time in CPU seconds.

    Every goal comes from a random walk, so a plan exists; homes are recorded and generated in turn.
    """
    recordings, reached, times = default_archive().recordings, 0, []
    for seed in range(count):
        scene = generate_home(1_000_000 + seed) if seed % 2 else recordings[seed * 37 % len(recordings)].scene
        simulator = Simulator(scene)
        goal, began = sample_goal(simulator, seed), time.process_time()
        found = search(simulator, goal, settings=SearchSettings(seed=seed))
        times.append(time.process_time() - began)
        reached += found.ok
    return reached / count, statistics.median(times)


def measure(*, size: int, goals: int, repeats: int, upstream: Path | None) -> dict[str, Any]:
    """All figures. `size` programs and a tenth as many explorations of 200 attempts; None leaves the oracle out."""
    loads = {"programs": (programs(size), True), "exploration": (explorations(max(1, size // 10), 200), False)}
    found: dict[str, Any] = {"n": 0, "repeats": repeats}
    ours_total = oracle_total = 0.0
    oracle_attempts = 0
    for name, (load, stop) in loads.items():
        count = attempts_of(load, stop=stop)
        ours = statistics.median(run_ours(load, stop=stop) for _ in range(repeats))
        found["n"] += count
        found[f"{name}_steps_per_second"] = round(count / ours)
        ours_total += ours
        if upstream is not None:
            theirs, attempts = run_oracle(load, upstream, stop=stop, repeats=repeats)
            found[f"{name}_oracle_steps_per_second"] = round(attempts / theirs, 1)
            found[f"{name}_ratio"] = round((count / ours) / (attempts / theirs), 1)
            oracle_total, oracle_attempts = oracle_total + theirs, oracle_attempts + attempts
    found["steps_per_second"] = round(found["n"] / ours_total)
    found["oracle_steps_per_second"] = round(oracle_attempts / oracle_total, 1) if upstream else None
    found["ratio"] = round(found["n"] / ours_total / (oracle_attempts / oracle_total), 1) if upstream else None
    found["state_copy_us"] = round(copy_microseconds(), 2)
    found["simulations_per_second"] = round(search_speed(5, 1_000))
    found["goals"] = goals
    found["goals_reached"], found["search_median_s"] = (round(value, 4) for value in goals_reached(goals))
    return found


@click.command()
@click.option("--size", type=click.IntRange(1, 518), default=100, show_default=True, help="Programs to replay.")
@click.option("--goals", type=click.IntRange(1), default=200, show_default=True, help="Goals to search for.")
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True, help="Runs of each world; medians.")
@click.option("--no-oracle", is_flag=True, help="Leave the public simulator out (it is fetched from a wheel).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(size: int, goals: int, repeats: int, no_oracle: bool, as_json: bool) -> None:
    """World steps per second against the public VirtualHome simulator, state copies, and plan search.

    \b
      groundling bench world
      groundling bench world --size 20 --goals 20 --json
    """
    upstream = None
    if not no_oracle:
        from serve.store.wheel import fetch_members
        from tests.embodied.oracle import SOURCE

        upstream = fetch_members(SOURCE)
    found = measure(size=size, goals=goals, repeats=repeats, upstream=upstream)
    if as_json:
        click.echo(json.dumps(found))
        return
    for key, value in found.items():
        click.echo(f"{key:34} {value}")


if __name__ == "__main__":
    command()
