"""Which examples meet in which step: tasks mixed by weight, similar lengths together, the same plan every time.

The whole plan follows from the seed before training begins, so a resumed run continues it exactly, and the number of
processes changes who computes an example, never which step it is in.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence

from dialog.errors import FinetuneError
from dialog.finetune.examples import Example

WINDOW = 16
"""Steps whose examples are sorted by length together; more saves padding, fewer mixes better."""


def plan_steps(
    tasks: Mapping[str, Sequence[Example]],
    weights: Mapping[str, float],
    *,
    steps: int,
    batch_size: int,
    seed: int,
) -> list[list[Example]]:
    """`steps` batches of `batch_size` examples. A task gets its weight's share; each pass over it is shuffled anew.

    Raises FinetuneError for an empty task with a weight, or no task at all.
    """
    wanted = {name: weight for name, weight in weights.items() if weight > 0}
    if not wanted or steps < 1:
        raise FinetuneError(
            f"nothing to train on: {len(wanted)} tasks with a weight, {steps} steps. Give at least one."
        )
    if empty := [name for name in wanted if not tasks.get(name)]:
        raise FinetuneError(f"task {empty[0]!r} has a weight but no examples. Check its files, or set its weight to 0.")
    total, scale = steps * batch_size, sum(wanted.values())
    rng = random.Random(seed)
    drawn: list[Example] = []
    shares: list[tuple[float, str]] = []
    for name, weight in wanted.items():
        count = round(total * weight / scale)
        # Spread a task evenly over the run: its k-th example of n falls near (k + u) / n.
        shares += [((k + rng.random()) / max(1, count), name) for k in range(count)]
    shares.sort()
    streams = {name: _stream(tasks[name], random.Random(f"{seed} {name}")) for name in wanted}
    drawn = [next(streams[name]) for _, name in shares]
    while len(drawn) < total:  # rounding may leave a few places
        drawn.append(next(streams[next(iter(wanted))]))
    batches: list[list[Example]] = []
    for start in range(0, total, WINDOW * batch_size):
        window = sorted(drawn[start : min(start + WINDOW * batch_size, total)], key=lambda example: example.length)
        cut = [window[i : i + batch_size] for i in range(0, len(window), batch_size)]
        rng.shuffle(cut)
        batches += cut
    return batches


def _stream(examples: Sequence[Example], rng: random.Random):
    while True:
        order = list(range(len(examples)))
        rng.shuffle(order)
        for i in order:
            yield examples[i]


def micro_batches(examples: Sequence[Example], max_tokens: int) -> list[list[Example]]:
    """Examples in groups whose padded size stays within `max_tokens`, at least one example each; longest rows first.

    A group's padded size is its rows, two for a preference, times its longest row. The longest group comes first so
    that a run which does not fit in memory fails at once.
    """
    groups: list[list[Example]] = []
    rows = 0
    for example in sorted(examples, key=lambda one: -one.width):
        more = 2 if example.rival else 1
        # Sorted: the group's first example is as wide as any that follow.
        if groups and (rows + more) * groups[-1][0].width <= max_tokens:
            groups[-1].append(example)
            rows += more
        else:
            groups.append([example])
            rows = more
    return groups


def plan_hash(plan: Sequence[Sequence[Example]]) -> str:
    """What identifies a plan: a resumed run must have the same."""
    digest = hashlib.sha256()
    for batch in plan:
        for example in batch:
            rival = example.rival and (example.rival.ids, example.rival.labels)
            digest.update(repr((example.ids, example.taught, example.labels, rival)).encode())
        digest.update(b"|")
    return digest.hexdigest()
