"""`groundling eval report`: a page with tables and plots of saved results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from serve.cli.eval_common import shown


@click.command()
@click.argument("results", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Markdown file.  [default: DIR/report.md]")
@click.option("--title", default="Evaluation", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: the page's path and every figure.")
def command(results: Path, out: Path | None, title: str, as_json: bool) -> None:
    """Make a markdown page with plots of the results in RESULTS, which other eval commands saved with --save.

    \b
    Example:
      groundling eval safety --data diasafety.jsonl --save results
      groundling eval report results --out docs/evaluation.md
    """
    from serve.errors import SettingsError

    kept = [(path, json.loads(path.read_text())) for path in sorted(results.glob("*-*.json"))]
    kept = [(path, one) for path, one in kept if isinstance(one, dict) and "figures" in one]
    if not kept:
        raise SettingsError(f"{results} holds no saved result. Run an eval command with --save {results} first.")
    page = out or results / "report.md"
    page.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"# {title}", ""]
    for path, one in kept:
        lines += [f"## {one['eval']}: {one['data']}", "", *table(one["figures"]), ""]
        if one.get("scores"):
            picture = page.with_name(f"{path.stem}.png")
            plot(one["scores"]["labels"], one["scores"]["scores"], picture, f"{one['eval']}, {one['data']}")
            lines += [f"![ROC curve, precision and recall, scores by class]({picture.name})", ""]
    page.write_text("\n".join(lines), encoding="utf-8")
    if as_json:
        click.echo(
            json.dumps({"report": str(page), "results": [one for _, one in kept if one.pop("scores", 0) or True]})
        )
    else:
        click.echo(f"{len(kept)} results in {page}")


def table(figures: dict[str, Any]) -> list[str]:
    """A markdown table of figures, each with its interval where it has one."""
    spans = figures.get("intervals", {})
    rows = ["| figure | value | 95% interval |", "|---|---|---|"]
    for name, value in figures.items():
        if name != "intervals":
            span = f"{spans[name][0]:.3f} to {spans[name][1]:.3f}" if name in spans else ""
            rows.append(f"| {name} | {shown(value)} | {span} |")
    return rows


def plot(labels: Sequence[int], scores: Sequence[float], picture: Path, title: str) -> None:
    """ROC, precision-recall, and the scores of both classes, as one PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from sklearn.metrics import precision_recall_curve, roc_curve

    false, true, _ = roc_curve(labels, scores)
    precision, recall, _ = precision_recall_curve(labels, scores)
    figure, axes = pyplot.subplots(1, 3, figsize=(12, 3.6))
    axes[0].plot(false, true)
    axes[0].plot([0, 1], [0, 1], ":", color="grey")
    axes[0].set(title="ROC", xlabel="false-positive rate", ylabel="recall")
    axes[1].plot(recall, precision)
    axes[1].set(title="precision and recall", xlabel="recall", ylabel="precision", ylim=(0, 1.02))
    for label, name in ((0, "negative"), (1, "positive")):
        values = [score for score, each in zip(scores, labels, strict=True) if each == label]
        axes[2].hist(values, bins=30, range=(0, 1), alpha=0.6, label=name, density=True)
    axes[2].set(title="score by class", xlabel="score")
    axes[2].legend()
    figure.suptitle(title)
    figure.tight_layout()
    figure.savefig(picture, dpi=110)
    pyplot.close(figure)
