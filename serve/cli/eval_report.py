"""`groundling eval report`: a page that compares saved results, one table and one picture for each data set."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from serve.cli.eval_common import shown

if TYPE_CHECKING:
    from serve.cli.eval_saved import Saved, Subject

NAMED_ELSEWHERE = frozenset({"intervals", "baselines", "model", "adapter", "tasks"})
INTERVALS = (
    "Figures with their 95% intervals: bootstrap, and of shares and AUROCs that are 0 or 1 the exact binomial ones."
)
NOTES = {
    "questions": (
        "`groundedness` is 1 or next to it by construction: a turn cites only what its own word test holds for "
        "support, and else says that it found no source; `informativeness` is then 1 - `abstained`. Of the replies "
        "with a citation `groundedness_judged` is the share that the adapter's GROUNDED finds held by what they cite."
    )
}
"""What a reader of a kind's figures must know."""
MOST_NAMED = 4
"""Subjects in a title."""
NOT_DRAWN = frozenset({"mean_relative_improvement"})
"""Figures with intervals that are no shares: beside those their bars would tell nothing."""


class Column(NamedTuple):
    """One model, with or without an adapter, or one baseline, on one data set."""

    name: str
    values: dict[str, Any]
    intervals: dict[str, Sequence[float]]


@click.command()
@click.argument("results", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Markdown file.  [default: DIR/report.md]")
@click.option("--title", help="The page's title.  [default: Evaluation of what was measured]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: the page's path and every figure.")
def command(results: Path, out: Path | None, title: str | None, as_json: bool) -> None:
    """Make a markdown page with plots of the results in RESULTS, which other eval commands saved with --save.

    Each data set gets one table with a column for each model and adapter that was measured on it. Data of one name but
    other content, --limit or --corpus are other data sets; other options, such as --threshold, are other columns.

    \b
    Example:
      groundling eval safety --data diasafety.jsonl --adapter none --save results
      groundling eval safety --data diasafety.jsonl --adapter joint --save results
      groundling eval report results --out docs/evaluation.md
    """
    from dialog.finetune.saving import explained, write_whole
    from serve.cli.eval_saved import read_saved

    found = read_saved(results)
    page = out or results / "report.md"
    groups: dict[str, list[Saved]] = {}
    for one in sorted(found, key=lambda one: (one.eval, one.data, one.subject.adapter != "none", str(one.subject))):
        groups.setdefault(one.measured, []).append(one)
    firsts = [group[0] for group in groups.values()]
    titles = [title_of(first, firsts) for first in firsts]
    drawn = picture_names(firsts, titles)
    lines = [f"# {title or evaluation_of(found)}", "", INTERVALS, ""]
    with explained(page):  # refused here rather than after the drawing
        page.parent.mkdir(parents=True, exist_ok=True)
    for data, name, group in zip(titles, drawn, groups.values(), strict=True):
        kind, columns = group[0].eval, columns_of(group)
        lines += [f"## {kind}: {data}", "", *([NOTES[kind], ""] if kind in NOTES else []), *table(columns), ""]
        lines += [*pictures(f"{kind}, {data}", group, columns, page.with_name(name)), ""]
    write_whole(page, "\n".join(lines))
    if as_json:
        kept = [one.model_dump(mode="json", exclude={"scores"}) for one in found]
        click.echo(json.dumps({"report": str(page), "results": kept}))
    else:
        click.echo(f"{page}: {len(found)} results, {len(groups)} tables")


def evaluation_of(found: Sequence[Saved]) -> str:
    """A title that names the subjects, as many as fit."""
    subjects = sorted({str(one.subject) for one in found})
    more = len(subjects) - MOST_NAMED
    return "Evaluation of " + ", ".join(subjects[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def title_of(one: Saved, others: Sequence[Saved]) -> str:
    """A data set's name, with the folder, options or content that tell it from `others` of the same name."""
    same = [other for other in others if other is not one and (other.eval, other.data) == (one.eval, one.data)]
    title = f"{one.folder}/{one.data}" if one.folder and any(other.folder != one.folder for other in same) else one.data
    apart = differing(one.rows, [other.rows for other in same])
    if any((other.folder, other.rows) == (one.folder, one.rows) for other in same):
        apart.append(one.content)
    return f"{title} ({', '.join(apart)})" if apart else title


def name_of(one: Saved, group: Sequence[Saved], *, bare: bool = False) -> str:
    """A result's subject, or its `bare` model, with what tells it from others that read alike: options and hashes."""

    def subject(of: Saved) -> Subject:
        return of.subject.bare if bare else of.subject

    about = subject(one)
    alike = [other for other in group if str(subject(other)) == str(about)]
    hashes = differing(about.hashes, [subject(other).hashes for other in alike])
    return ", ".join([str(about), *hashes, *differing(one.options, [other.options for other in alike])])


def differing(options: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> list[str]:
    """The options, in words, that one of the others has not or has otherwise."""
    return [f"{key} {value}" for key, value in options.items() if any(other.get(key) != value for other in others)]


def columns_of(group: Sequence[Saved]) -> list[Column]:
    """The columns of one data set's results, each name once: bare models, adapters, then baselines."""
    columns: dict[str, Column] = {}
    for one in group:
        tasks = "tasks" in one.figures
        of_tasks = embodied_columns(one, group) if tasks else [flat(name_of(one, group), one.figures)]
        for column in of_tasks:
            columns.setdefault(column.name, column)
    for one in group:  # baselines are the same beside every model
        for name, figures in one.figures.get("baselines", {}).items():
            columns.setdefault(name, flat(name, figures))
    return list(columns.values())


def flat(name: str, figures: Mapping[str, Any]) -> Column:
    """A result's figures, those of an attribute under "attribute figure"."""
    values: dict[str, Any] = {}
    spans: dict[str, Sequence[float]] = dict(figures.get("intervals", {}))
    for key, value in figures.items():
        if isinstance(value, dict) and key not in NAMED_ELSEWHERE:
            values |= {f"{key} {inner}": each for inner, each in value.items() if inner != "intervals"}
            spans |= {f"{key} {inner}": span for inner, span in value.get("intervals", {}).items()}
        elif key not in NAMED_ELSEWHERE:
            values[key] = value
    return Column(name, values, spans)


def embodied_columns(one: Saved, group: Sequence[Saved]) -> list[Column]:
    """The bare model's column and, where there is one, its adapter's: each task, then what is over all of them."""
    from embodied.evaluate.report import MEAN_GAIN, OUTCOMES, PLAN_FIGURES, baseline

    tasks, figures = one.figures["tasks"], one.figures
    kinds = [(name_of(one, group, bare=True), "base", "base_low", "base_high")]
    if one.subject.adapter != "none":
        kinds.append((name_of(one, group), "tuned", "low", "high"))
    found = []
    for name, which, low, high in kinds:
        values = {task.replace("_", " "): row[which] for task, row in tasks.items()}
        spans: dict[str, Sequence[float]] = {
            task.replace("_", " "): [row[low], row[high]] for task, row in tasks.items()
        }
        after = "_base" if which == "base" else ""
        values |= {key: figures.get(f"{key}{after}") for key in PLAN_FIGURES}
        values["perplexity"] = figures.get(f"perplexity_{which}")
        if which == "tuned":
            values[MEAN_GAIN] = figures.get(MEAN_GAIN)
            if (least := figures.get(f"{MEAN_GAIN}_low")) is not None:  # older results have none
                spans[MEAN_GAIN] = [least, figures[f"{MEAN_GAIN}_high"]]
        found.append(Column(name, {"n": figures.get("n"), **values}, spans))
    blind = {task.replace("_", " "): value for task, row in tasks.items() if (value := baseline(row)) is not None}
    blind |= {key: value for key in OUTCOMES if (value := figures.get(f"{key}_template")) is not None}
    return [*found, Column("baseline", blind, {})] if blind else found


def table(columns: Sequence[Column]) -> list[str]:
    """A markdown table, a row for each figure, its interval in brackets."""
    rows = row_names(columns)
    lines = ["| figure | " + " | ".join(column.name for column in columns) + " |", "|---" * (len(columns) + 1) + "|"]
    return lines + [f"| {row} | " + " | ".join(cell(column, row) for column in columns) + " |" for row in rows]


def row_names(columns: Sequence[Column]) -> list[str]:
    return list(dict.fromkeys(name for column in columns for name in column.values))


def cell(column: Column, row: str) -> str:
    if row not in column.values:
        return ""
    span = column.intervals.get(row)
    return shown(column.values[row]) + (f" ({span[0]:.3f} to {span[1]:.3f})" if span else "")


def picture_names(firsts: Sequence[Saved], titles: Sequence[str]) -> list[str]:
    """A file for each data set's picture, by its title without the data's ending where that tells no two apart.

    What is still alike, also where file systems do not tell capitals apart, is numbered.
    """

    def name(one: Saved, title: str) -> str:
        return re.sub(r"[^\w.-]+", "_", f"{one.eval}-{title}").strip("_")

    pairs = list(zip(firsts, titles, strict=True))
    short = [name(one, title.replace(one.data, Path(one.data).stem)) for one, title in pairs]
    counts = Counter(map(str.lower, short))
    wanted = [brief if counts[brief.lower()] == 1 else name(*pair) for brief, pair in zip(short, pairs, strict=True)]
    found: list[str] = []
    taken: set[str] = set()
    for each in wanted:
        numbered = (each if i == 1 else f"{each}-{i}" for i in count(1))
        found.append(next(one for one in numbered if one.lower() not in taken))
        taken.add(found[-1].lower())
    return [f"{each}.png" for each in found]


def pictures(title: str, group: Sequence[Saved], columns: Sequence[Column], picture: Path) -> list[str]:
    """Draw a data set's picture, curves where it has both classes; the markdown that shows it."""
    from serve.cli.eval_plots import bars, curves

    scored = {name_of(one, group): one.scores for one in group if one.scores and len(set(one.scores.labels)) > 1}
    if scored:
        curves(scored, picture, title)
        return [f"![ROC curve, precision and recall, scores by class]({picture.name})"]
    spanned = {name for column in columns for name in column.intervals} - NOT_DRAWN
    rows = [name for name in row_names(columns) if name in spanned]
    if not rows:
        return []
    bars(rows, {one.name: (one.values, one.intervals) for one in columns if one.intervals}, picture, title)
    return [f"![figures with their intervals]({picture.name})"]
