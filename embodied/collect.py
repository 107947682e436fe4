"""Collecting experience into a JSONL file: plans for sampled goals, or random explorations.

The first line is a header with the run's settings; every other line is one experience with its `id`. A run that was
interrupted, even by kill -9, goes on where it stopped: a half-written last line is cut off, what is there is kept, and
nothing is collected twice. Any other file is left as it is. One process writes; a pool of processes works, and ends
with it.
Boundary: homes are generated from the split's seeds or taken from the scene archive; tasks are made in `tasks`.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from itertools import islice
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field

from embodied.archive import default_archive
from embodied.errors import CollectError
from embodied.explore import contents, explore
from embodied.homes import generate_home
from embodied.plan import SearchSettings, search
from embodied.plan.sample import sample_goal
from embodied.splits import Split, home_seeds, seen_recordings, split_recordings
from embodied.wording import name, say_goal, say_place, say_steps
from embodied.world.program import render_line
from embodied.world.scene import Scene
from embodied.world.simulator import Simulator
from embodied.world.state import initial

Kind = Literal["plans", "explore"]
Experience = dict[str, Any]
FORMAT = "groundling-experience"
VERSION = 2
"""Of the header. Files of version 1 have the seeds of `collect tasks` and no `room`; they are read, and not gone on
with.
"""


class CollectSettings(BaseModel):
    """What a file holds. Two runs with equal settings collect equal experience, in any order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    split: Split = "train"
    seed: int = Field(
        default=0, ge=0, lt=900_000, description="First seed; experience i uses the one i further (`seed_of`)."
    )
    recorded: float = Field(default=0.25, ge=0, le=1, description="Fraction in recorded homes; the rest in generated.")
    facts: int = Field(default=4, ge=1, description="Most facts of a sampled goal (plans).")
    simulations: int = Field(default=2_000, ge=1, description="Search budget per goal (plans).")
    steps: int = Field(default=20, ge=1, description="Successful steps per exploration.")


class Entry(BaseModel):
    """What every line of a file must have, so that who reads it finds that there; its further fields are free."""

    model_config = ConfigDict(strict=True)

    id: int
    room: str | None = None


class PlanEntry(Entry):
    """A line of `collect plans`."""

    kind: Literal["plans"]
    goal_text: str
    plan: list[str]
    plan_text: list[str]
    found: bool


class ExploreEntry(Entry):
    """A line of `collect explore`."""

    kind: Literal["explore"]
    actions: list[str]
    moves: list[dict[str, Any]]


SHAPES: dict[str, type[Entry]] = {"plans": PlanEntry, "explore": ExploreEntry}


def seed_of(settings: CollectSettings, number: int) -> int:
    """The seed of experience `number`. It counts back from the split's last one: `collect tasks` counts up from the
    first, and would search for the same goals in the same homes.
    """
    return home_seeds(settings.split)[-1 - settings.seed - number]


def home_for(settings: CollectSettings, number: int) -> Scene:
    """The home of experience `number`: recorded or generated, from the split."""
    seed = seed_of(settings, number)
    if int(seed * 0.618034 * 1000) % 1000 < settings.recorded * 1000:
        pool = seen_recordings if settings.split == "train" else split_recordings
        recordings = pool(default_archive(), settings.split)
        return recordings[seed * 7919 % len(recordings)].scene
    return generate_home(seed)


def collect_one(settings: CollectSettings, number: int) -> Experience:
    """One experience, as it is written. Pure: depends on its arguments only."""
    scene = home_for(settings, number)
    simulator, seed = Simulator(scene), seed_of(settings, number)
    head: Experience = {"id": number, "kind": settings.kind, "home": scene.name}
    if (room := initial(scene).room(scene.character)) is not None:
        head["room"] = name(scene, room)
    if settings.kind == "plans":
        goal = sample_goal(simulator, seed, facts=settings.facts)
        found = search(simulator, goal, settings=SearchSettings(simulations=settings.simulations, seed=seed))
        return head | {
            "goal": goal.describe(),
            "goal_text": say_goal(goal),
            "plan": [render_line(step, scene) for step in found.plan],
            "plan_text": say_steps(found.plan, scene),
            "found": found.ok,
            "reached": round(found.reached, 6),
            "simulations": found.simulations,
            "note": found.note,
        }
    seen = explore(simulator, seed, steps=settings.steps)
    nodes = scene.nodes
    return head | {
        "actions": seen.lines(),
        "moves": [
            {
                "step": move.step,
                "thing": nodes[move.thing].id,
                "name": nodes[move.thing].spoken,
                "from": say_place(seen.trail[move.step], move.thing),
                "to": say_place(seen.trail[move.step + 1], move.thing),
            }
            for move in seen.moves
        ],
        "contents": {
            str(nodes[place].id): [nodes[thing].id for thing in things]
            for place, things in contents(seen.trail[-1]).items()
        },
    }


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Hold the file's lock. Raises CollectError where another process collects into it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{path}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise CollectError(f"another process is collecting into {path}. Wait for it or use another --out.") from None
    try:
        yield
    finally:
        with suppress(OSError):  # Windows keeps open files
            # while it is held: who opened it and locks it later finds it gone, and retries
            Path(f"{path}.lock").unlink()
        lock.release()


def open_file(path: Path, settings: CollectSettings) -> set[int]:
    """Make or mend the file and return the ids it holds.

    Raises CollectError where it was collected with other settings or by another version, is no experience file, or is
    broken in the middle. The file is then as it was.
    """
    header = {"format": FORMAT, "version": VERSION, "settings": settings.model_dump()}
    raw = path.read_bytes() if path.exists() else b""
    if as_line(header).startswith(raw):  # new, or the writer was killed inside its first line
        path.write_bytes(b"")
        append(path, header)
        return set()
    whole = raw[: raw.rfind(b"\n") + 1]
    held: set[int] = set()
    for number, line in enumerate(whole.splitlines() or [b""], 1):
        try:
            entry = json.loads(line)
            if number > 1:
                held.add(SHAPES[settings.kind].model_validate(entry).id)
            elif entry != header:
                if entry.get("format") != FORMAT:
                    raise ValueError
                if entry.get("version") != VERSION:
                    raise CollectError(
                        f"{path} was begun in version {entry.get('version')} of the format; homes and goals are others "
                        f"now (version {VERSION}). Use another --out."
                    )
                changed = [k for k, v in header["settings"].items() if entry.get("settings", {}).get(k) != v]
                what = ", ".join(changed) or "set of options"
                raise CollectError(f"{path} was collected with another {what}. Use the same options or another --out.")
        except (ValueError, KeyError, TypeError, AttributeError):
            what = "is no experience file" if number == 1 else f"is broken at line {number}"
            raise CollectError(f"{path} {what}. Move it away and collect again.") from None
    if len(whole) < len(raw):  # the writer was killed inside its last line
        os.truncate(path, len(whole))
    return held


def as_line(entry: Experience) -> bytes:
    """An entry as it is written."""
    return json.dumps(entry, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def append(path: Path, entry: Experience) -> None:
    """Write one line, whole or, where the disk refuses (OSError), not at all."""
    line = as_line(entry)
    with path.open("ab", buffering=0) as file:
        end = file.tell()
        try:
            while line:
                line = line[file.write(line) :]  # a disk that is nearly full takes a part
        except OSError:
            file.truncate(end)
            raise


def collect(
    settings: CollectSettings,
    path: Path,
    count: int,
    *,
    workers: int | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """Collect experiences 0..count-1 into `path`, going on from what it holds. Returns a summary.

    `progress` is called with how many the file holds. Raises CollectError as `open_file`, `only_writer` and `run_all`
    do.
    """
    with only_writer(path):
        held = open_file(path, settings)
        todo = [number for number in range(count) if number not in held]
        kept = len(held)
        progress(kept)
        if workers is None:
            workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        for done, entry in enumerate(run_all(settings, todo, workers), 1):
            append(path, entry)
            progress(kept + done)
    return summary(path, collected=len(todo), resumed=kept)


def run_all(settings: CollectSettings, todo: list[int], workers: int) -> Iterator[Experience]:
    """All experiences, in the order they are done; a few per worker are in flight. Raises CollectError where a worker
    dies.
    """
    if workers <= 1 or len(todo) <= 2:
        for number in todo:
            yield collect_one(settings, number)
        return
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=begin_worker)
    numbers = iter(todo)
    try:
        flying: set[Future[Experience]] = set()
        while True:
            while len(flying) < workers * 4 and (number := next(numbers, None)) is not None:
                flying.add(pool.submit(collect_one, settings, number))
            if not flying:
                return
            done, flying = wait(flying, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BrokenProcessPool:
        raise CollectError(
            "a worker died, perhaps for want of memory. Run the same command again: it goes on from here, and fewer "
            "--workers need less memory."
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def begin_worker() -> None:
    """Ctrl-C reaches every process of the terminal; the parent alone decides. Workers end with it, also by kill -9."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_with_parent() -> None:
    """Wait for the parent's end, and end this process at once."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def read_settings(path: Path) -> dict[str, Any]:
    """The settings in a file's header. Raises CollectError where there are none."""
    try:
        with path.open("rb") as file:
            header = json.loads(file.readline())
        if header["format"] != FORMAT or not isinstance(header["settings"], dict):
            raise ValueError
        return header["settings"]
    except (OSError, ValueError, KeyError, TypeError):
        raise CollectError(f"{path} is no experience file. Make one with `groundling collect plans`.") from None


def is_experience(path: Path) -> bool:
    """Whether a file begins as collected experience does."""
    try:
        return bool(read_settings(path)) if path.is_file() else False
    except CollectError:
        return False


def read_experience(path: Path) -> Iterator[Experience]:
    """The experiences of a file, each id once. Raises CollectError for a line that cannot be read or lacks what the
    header's kind of experience has, naming it.
    """
    kind = read_settings(path).get("kind")
    shape = SHAPES.get(str(kind))
    if shape is None:
        raise CollectError(f"{path} holds experience of an unknown kind, {kind!r}. Move it away and collect again.")
    seen: set[int] = set()
    with path.open("rb") as file:
        for number, line in enumerate(islice(file, 1, None), 2):
            try:
                entry = json.loads(line)
                held = shape.model_validate(entry).id
            except ValueError:
                half = not line.endswith(b"\n")  # the same collection cuts a half-written last line off, no other
                remedy = "Run the same collection again to mend it" if half else "Move it away and collect again"
                raise CollectError(f"{path} is broken at line {number}. {remedy}.") from None
            if held not in seen:
                seen.add(held)
                yield entry


def summary(path: Path, *, collected: int, resumed: int) -> dict[str, Any]:
    """Counts over a file."""
    entries = list(read_experience(path))
    found: dict[str, Any] = {"file": str(path), "n": len(entries), "collected": collected, "resumed": resumed}
    if entries and entries[0]["kind"] == "plans":
        found["found"] = sum(entry["found"] for entry in entries)
        found["mean_steps"] = round(sum(len(entry["plan"]) for entry in entries) / len(entries), 2)
    elif entries:
        found["steps"] = sum(len(entry["actions"]) for entry in entries)
        found["moves"] = sum(len(entry["moves"]) for entry in entries)
    return found
