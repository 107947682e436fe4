"""A run's log: its figures as one JSON object a line, TensorBoard beside it, and a picture of the curves."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dialog.errors import FinetuneError
from dialog.finetune.saving import explained, write_whole

PANELS: Mapping[str, tuple[str, ...]] = {
    "loss": ("loss", "loss_tokens", "loss_labels", "held_out_loss"),
    "perplexity ratio (forgetting)": ("retention_ratio",),
}
"""What is plotted beside each other: the trainer's losses, and what `run` evaluates while it trains."""


class RunLog:
    """Appends to `metrics.jsonl` and `tensorboard/` in a run's folder. A resumed run drops what was after its step, one
    that begins drops all.

    Raises FinetuneError where the disk refuses, also at the end of a `with`, unless another error ends that.
    """

    def __init__(self, folder: Path, *, from_step: int = 0) -> None:
        self.path = folder / "metrics.jsonl"
        kept = [row for row in read_metrics(self.path) if row["step"] <= from_step] if from_step else []
        with explained(self.path):
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(self.path, "".join(json.dumps(row) + "\n" for row in kept))
            # What a checkpoint's step itself was told stays; a run that begins tells step 0 again.
            self.board = board(folder / "tensorboard", from_step + 1 if from_step else 0)
            self.file = self.path.open("a", buffering=1)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        try:
            self.close()
        except FinetuneError:
            if error is None:
                raise

    def write(self, step: int, **figures: float) -> None:
        """One line of figures for a step. Raises FinetuneError where the disk is full."""
        row = {"step": step, "time": round(time.time(), 3), **{k: rounded(v) for k, v in figures.items()}}
        with explained(self.path):
            self.file.write(json.dumps(row) + "\n")
            if self.board is not None:
                for name, value in figures.items():
                    self.board.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is still held. Raises FinetuneError where the disk is full."""
        with explained(self.path):
            try:
                self.file.close()
            finally:
                if self.board is not None:
                    self.board.close()


def board(folder: Path, purge: int) -> Any | None:
    """A TensorBoard writer that hides what was written of the steps from `purge` on; None where it is not installed."""
    try:
        from torch.utils.tensorboard.writer import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=purge)


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
