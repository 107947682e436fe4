"""A run's log: its figures as one JSON object a line, TensorBoard beside it, and a picture of the curves."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dialog.finetune.saving import explained, write_whole

PANELS: Mapping[str, tuple[str, ...]] = {
    "loss": ("loss", "loss_tokens", "loss_labels"),
    "perplexity ratio (forgetting)": ("retention_ratio",),
}
"""What is plotted beside each other: the trainer's losses, and what `run` evaluates while it trains."""


class RunLog:
    """Appends to `metrics.jsonl` and `tensorboard/` in a run's folder. A resumed run drops what was after its step."""

    def __init__(self, folder: Path, *, from_step: int = 0) -> None:
        self.path = folder / "metrics.jsonl"
        kept = [row for row in read_metrics(self.path) if row["step"] <= from_step]
        with explained(self.path):
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(self.path, "".join(json.dumps(row) + "\n" for row in kept))
            self.file = self.path.open("a", buffering=1)
        self.board = board(folder / "tensorboard", from_step)

    def write(self, step: int, **figures: float) -> None:
        """One line of figures for a step. Raises FinetuneError where the disk is full."""
        row = {"step": step, "time": round(time.time(), 3), **{k: rounded(v) for k, v in figures.items()}}
        with explained(self.path):
            self.file.write(json.dumps(row) + "\n")
        if self.board is not None:
            for name, value in figures.items():
                self.board.add_scalar(name, value, step)

    def close(self) -> None:
        self.file.close()
        if self.board is not None:
            self.board.close()


def board(folder: Path, purge: int) -> Any | None:
    """A TensorBoard writer, or None where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard.writer import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=purge or None)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All whole lines; a line cut short by a kill is dropped."""
    rows: list[dict[str, Any]] = []
    if path.is_file():
        for line in path.read_text().splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                continue
    return rows


def rounded(value: float) -> float:
    return float(f"{value:.6g}") if math.isfinite(value) else value


def draw_curves(metrics: Path, picture: Path, *, title: str) -> bool:
    """Loss and forgetting over the steps as a PNG; False where matplotlib is not installed."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        return False
    rows = read_metrics(metrics)
    shown = {name: keys for name, keys in PANELS.items() if any(key in row for row in rows for key in keys)}
    if not shown:
        return False
    figure, axes = pyplot.subplots(1, len(shown), figsize=(5 * len(shown), 3.5), squeeze=False)
    for axis, (name, keys) in zip(axes[0], shown.items(), strict=True):
        for key in keys:
            points = [(row["step"], row[key]) for row in rows if key in row]
            if points:
                axis.plot(*zip(*points, strict=True), label=key, marker="." if len(points) < 30 else None)
        axis.set(title=name, xlabel="step")
        axis.grid(alpha=0.3)
        if len(keys) > 1:
            axis.legend()
    figure.suptitle(title)
    figure.tight_layout()
    with explained(picture):
        figure.savefig(picture, dpi=110)
    pyplot.close(figure)
    return True
