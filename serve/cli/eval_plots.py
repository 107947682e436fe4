"""The pictures of `groundling eval report`: curves where a result keeps its scores, bars with intervals elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serve.cli.eval_saved import Scores


def pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as found

    return found


def curves(by_subject: Mapping[str, Scores], picture: Path, title: str) -> None:
    """ROC and precision-recall with a line for each subject, and each one's scores by class, as one PNG."""
    from sklearn.metrics import precision_recall_curve, roc_curve

    plt = pyplot()
    count = 2 + len(by_subject)
    figure, axes = plt.subplots(1, count, figsize=(4 * count, 3.6))
    for axis, (name, one) in zip(axes[2:], by_subject.items(), strict=True):
        false, true, _ = roc_curve(one.labels, one.scores)
        precision, recall, _ = precision_recall_curve(one.labels, one.scores)
        axes[0].plot(false, true, label=name)
        axes[1].plot(recall, precision, label=name)
        for label, kind in ((0, "negative"), (1, "positive")):
            values = [score for score, each in zip(one.scores, one.labels, strict=True) if each == label]
            axis.hist(values, bins=30, range=(0, 1), alpha=0.6, label=kind, density=True)
        axis.set(xlabel="score")
        axis.set_title(name, fontsize=8)
        axis.legend()
    axes[0].plot([0, 1], [0, 1], ":", color="grey")
    axes[0].set(title="ROC", xlabel="false-positive rate", ylabel="recall")
    axes[1].set(title="precision and recall", xlabel="recall", ylabel="precision", ylim=(0, 1.02))
    axes[0].legend(fontsize=7)
    finish(plt, figure, picture, title)


def bars(
    rows: Sequence[str],
    by_subject: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Sequence[float]]]],
    picture: Path,
    title: str,
) -> None:
    """A group of bars for each figure, one bar a subject, with 95% intervals; subjects are (values, intervals)."""
    plt = pyplot()
    figure, axis = plt.subplots(figsize=(8, 1.2 + 0.25 * len(rows) * (len(by_subject) + 1)))
    height = 0.8 / len(by_subject)
    for number, (name, (values, spans)) in enumerate(by_subject.items()):
        at = [i for i, row in enumerate(rows) if values.get(row) is not None and row in spans]
        shown = [values[rows[i]] for i in at]
        low = [max(0.0, value - spans[rows[i]][0]) for i, value in zip(at, shown, strict=True)]
        high = [max(0.0, spans[rows[i]][1] - value) for i, value in zip(at, shown, strict=True)]
        axis.barh(
            [i + (number + 0.5) * height - 0.4 for i in at], shown, height, xerr=[low, high], label=name, capsize=2
        )
    axis.set_yticks(range(len(rows)), rows)
    axis.invert_yaxis()
    axis.legend(fontsize=7)
    axis.grid(axis="x", alpha=0.3)
    finish(plt, figure, picture, title)


def finish(plt: Any, figure: Any, picture: Path, title: str) -> None:
    from dialog.finetune.saving import explained

    figure.suptitle(title)
    figure.tight_layout()
    with explained(picture):
        figure.savefig(picture, dpi=110)
    plt.close(figure)
