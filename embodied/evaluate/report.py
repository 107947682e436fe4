"""Figures over scored families: means with 95% intervals, base against tuned, as an object, a table and a plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embodied.errors import TaskError
from embodied.evaluate.blind import best_templates
from embodied.evaluate.metrics import drawn_gains, interval, mean_gain_interval
from embodied.evaluate.run import FamilyScores
from embodied.tasks.item import Item, majority_baseline

Scores = Mapping[str, FamilyScores]
OUTCOMES = ("executable", "goal_success", "mended_executable", "mended_goal_success")
"""Shares over all plans: as written, and with the steps that `embodied.repair` puts in."""
PLAN_FIGURES = (*OUTCOMES, *(f"chosen_{name}" for name in OUTCOMES))
"""Of the likeliest plan, and of the one that the home chose from several."""
GAIN, MEAN_GAIN = "relative_improvement", "mean_relative_improvement"


def mean(values: Sequence[float]) -> float:
    """The mean, 0 where there is nothing."""
    return sum(values) / len(values) if values else 0.0


def mean_of(scores: FamilyScores, name: str) -> float | None:
    """The mean of a further figure over the items that have it; None where none has."""
    values = [value for value in scores.extra.get(name, []) if value is not None]
    return round(mean(values), 4) if values else None


def asked_about(item: Item) -> str:
    """What questions share that are no independent ones: the activity or the recorded program that they ask about,
    again and again with other choices; else the prompt.
    """
    return str(item.world.get("activity") or item.world.get("recording") or item.prompt)


def pooled(scores: Scores, about: Mapping[str, Sequence[str]], name: str, key: str) -> dict[str, float | None]:
    """The mean of a further figure over all plan items as `key`, with its interval; None where there is none.

    `about` names each family's items by what they are about.
    """
    found = [
        (value, group)
        for family, kept in scores.items()
        if name in kept.extra
        for value, group in zip(kept.extra[name], about[family], strict=True)
        if value is not None
    ]
    if not found:
        return {key: None}
    values, groups = zip(*found, strict=True)
    low, high = interval(values, groups)
    return {key: round(mean(values), 4), f"{key}_low": round(low, 4), f"{key}_high": round(high, 4)}


def spanned(key: str, value: float | None, span: tuple[float, float] | None) -> dict[str, float | None]:
    """A figure with its interval, rounded, as `key`, `key_low` and `key_high`."""
    found = {key: value, f"{key}_low": span and span[0], f"{key}_high": span and span[1]}
    return {name: None if each is None else round(each, 4) for name, each in found.items()}


def compare(items: Sequence[Item], base: Scores, tuned: Scores | None = None) -> dict[str, Any]:
    """One object with every family's figures.

    `low` and `high` are the tuned model's interval, or the base model's where there is none. Intervals draw what items
    are about (`asked_about`). The relative improvement is (tuned - base) / base; a family on which the base scores 0
    has none and is left out of the mean, `left_out` names it. Its interval and the mean's draw base and tuned together
    (`drawn_gains`). Without a model, choices have `majority`, plans
    have `template` and what comes of running it (`blind`).
    """
    tasks: dict[str, Any] = {}
    of = {name: [item for item in items if item.family == name] for name in base}
    about = {name: [asked_about(item) for item in asked] for name, asked in of.items()}
    rng, drawn = np.random.default_rng(0), list[NDArray[np.float64]]()
    blind = {name: best_templates(of[name]) for name, family in base.items() if family.metric == "rouge_l"}
    for name, family in base.items():
        other = tuned[name] if tuned else None
        low, high = interval((other or family).scores, about[name])
        base_low, base_high = interval(family.scores, about[name])
        at = mean(family.scores)
        row: dict[str, Any] = {
            "n": len(family.scores),
            "metric": family.metric,
            "base": round(at, 4),
            "base_low": round(base_low, 4),
            "base_high": round(base_high, 4),
            "tuned": round(mean(other.scores), 4) if other else None,
            "low": round(low, 4),
            "high": round(high, 4),
        }
        gain = span = None
        if other and at:
            gain = (mean(other.scores) - at) / at
            drawn.append(drawn_gains(family.scores, other.scores, about[name], rng))
            span = mean_gain_interval(drawn[-1:])
        row |= spanned(GAIN, gain, span)
        if name in blind:
            row["template"] = round(mean(blind[name].scores), 4)
            row |= {f"{extra}_template": mean_of(blind[name], extra) for extra in blind[name].extra}
        else:
            row["majority"] = round(majority_baseline(of[name]), 4)
        for extra in family.extra:
            row[f"{extra}_base"] = mean_of(family, extra)
            row[f"{extra}_tuned"] = mean_of(other, extra) if other else None
        tasks[name] = row
    gains = [row[GAIN] for row in tasks.values() if row[GAIN] is not None]
    outcomes: dict[str, float | None] = {}
    for name in PLAN_FIGURES:
        outcomes |= pooled(tuned or base, about, name, name) | pooled(base, about, name, f"{name}_base")
    for name in OUTCOMES:
        outcomes |= pooled(blind, about, name, f"{name}_template")
    return {
        "n": len(items),
        "tasks": tasks,
        **spanned(MEAN_GAIN, mean(gains) if gains else None, mean_gain_interval(drawn)),
        "left_out": [name for name, row in tasks.items() if tuned and row[GAIN] is None],
        **outcomes,
    }


def baseline(row: Mapping[str, Any]) -> float | None:
    """A family's figure without a model; None in results that were saved before plans had one."""
    return row.get("majority", row.get("template"))


def table(found: Mapping[str, Any]) -> str:
    """The figures as aligned text, the mean over the families last."""
    head = f"{'task':34} {'n':>4} {'baseline':>8} {'base':>6} {'95%':>15} {'tuned':>6} {'95%':>15} {'gain':>7}"
    lines = [head]
    for name, row in found["tasks"].items():
        tuned = row["tuned"]
        base_range = f"{row['base_low']:.2f} to {row['base_high']:.2f}"
        tuned_range = f"{row['low']:.2f} to {row['high']:.2f}" if tuned is not None else ""
        gain = f"{row[GAIN]:+.0%}" if row[GAIN] is not None else ""
        blind = f"{baseline(row) or 0:.2f}"
        shown = f"{tuned:.2f}" if tuned is not None else ""
        first = f"{name:34} {row['n']:4} {blind:>8} {row['base']:6.2f} {base_range:>15}"
        lines.append(f"{first} {shown:>6} {tuned_range:>15} {gain:>7}".rstrip())
    for key, value in sorted(found.items(), key=lambda figure: figure[0] == MEAN_GAIN):
        if key == "left_out" and value:
            lines.append(f"{'left out of the mean (base is 0)':34} {', '.join(value)}")
        elif key not in ("tasks", "n", "left_out") and value is not None and not key.endswith(("_low", "_high")):
            low, high = found.get(f"{key}_low"), found.get(f"{key}_high")
            lines.append(f"{key:34} {value}" + (f" ({low} to {high})" if low is not None else ""))
    return "\n".join(lines)


def check_plot(path: Path) -> None:
    """Raises TaskError where a plot cannot be drawn, or not be written to `path`."""
    if path.suffix.lower() not in (".svg", ".png", ".pdf"):
        raise TaskError(f"a plot is written as .svg, .png or .pdf, not as {path.name!r}. Give --plot such a name.")
    if not path.parent.is_dir():
        raise TaskError(f"there is no folder {path.parent} for the plot. Make it, or give --plot another place.")
    drawing()


def drawing() -> Any:
    """matplotlib's pyplot, without a window. Raises TaskError where it is not installed."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt
    except ImportError:
        raise TaskError("a plot needs matplotlib. Install it, or leave --plot out.") from None
    return plt


def plot(found: Mapping[str, Any], path: Path) -> None:
    """Bars with intervals, base beside tuned. Raises TaskError where matplotlib is not installed."""
    plt = drawing()
    names = list(found["tasks"])
    figure, axes = plt.subplots(figsize=(8, 0.45 * len(names) + 1.2), layout="constrained")
    for offset, which, low, high in ((-0.2, "base", "base_low", "base_high"), (0.2, "tuned", "low", "high")):
        rows = [(i, found["tasks"][name]) for i, name in enumerate(names) if found["tasks"][name][which] is not None]
        if rows:
            values = [row[which] for _, row in rows]
            errors = [
                [max(0.0, row[which] - row[low]) for _, row in rows],
                [max(0.0, row[high] - row[which]) for _, row in rows],
            ]
            axes.barh([i + offset for i, _ in rows], values, 0.38, xerr=errors, label=which, capsize=2)
    for i, name in enumerate(names):
        axes.plot([baseline(found["tasks"][name])] * 2, [i - 0.4, i + 0.4], color="black", linewidth=1)
    axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    axes.set_xlim(0, 1)
    axes.set_xlabel("accuracy, or ROUGE-L for plans; black line: baseline without a model")
    axes.invert_yaxis()
    axes.legend(loc="lower right")
    figure.savefig(path)
    plt.close(figure)
