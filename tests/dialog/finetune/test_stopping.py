"""What stops a run, and what is left of it: broken weights, a full disk or memory, checkpoints that cannot be read."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dialog.errors import FinetuneError
from dialog.finetune.run import Base
from dialog.finetune.run_log import RunLog, read_metrics
from serve.cli.main import main
from tests.dialog.finetune.small import config, files
from tests.dialog.finetune.training import trainer, weights


def test_a_loss_that_is_not_a_number_stops_and_keeps_the_checkpoint(tiny, tmp_path: Path):
    one = trainer(tiny(), tmp_path)

    def poison(progress) -> None:
        if progress.step == 3:
            with torch.no_grad():
                next(iter(one.parameters.values())).fill_(float("nan"))

    one.on_progress = poison
    with pytest.raises(FinetuneError, match=r"nan.*step 4.*train\.learning_rate \(now 0\.01\).* starts anew"):
        one.train()
    kept = load_file(tmp_path / "checkpoints" / "step-0000002" / "weights.safetensors")
    assert all(torch.isfinite(value).all() for value in kept.values())


def test_a_full_disk_is_one_clear_line_and_leaves_the_last_checkpoint(tiny, tmp_path: Path, monkeypatch):
    import dialog.finetune.checkpoints as checkpoints

    one = trainer(tiny(), tmp_path)
    real = torch.save

    def full(value, file, *args, **options):
        if "step-0000004" in file.name:
            with Path("/dev/full").open("wb", buffering=0) as nowhere:
                return real(value, nowhere, *args, **options)
        return real(value, file, *args, **options)

    monkeypatch.setattr(checkpoints.torch, "save", full)
    with pytest.raises(FinetuneError, match="disk is full"):
        one.train()
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-0000002"]


def test_running_out_of_memory_says_what_to_lower(tiny, tmp_path: Path, monkeypatch):
    one = trainer(tiny(), tmp_path)

    def exhausted(*args, **options):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    working, one.loss = one.loss, exhausted
    with pytest.raises(FinetuneError, match=r"train\.micro_tokens \(now 40\)"):
        one.train()
    one.loss = working
    monkeypatch.setattr(one.optimizer, "step", exhausted)  # its states are as large as what is trained
    with pytest.raises(FinetuneError, match=r"while training\. Lower train\.micro_tokens"):
        one.train()


def test_a_checkpoint_of_another_run_is_refused(tiny, tmp_path: Path):
    trainer(tiny(), tmp_path, steps=2, made_of={"method": "ewc", "ewc.weight": "5.0"}).train()
    with pytest.raises(FinetuneError, match=r"another run: other examples .*--out, or delete .*checkpoints"):
        trainer(tiny(), tmp_path, steps=4, made_of={"method": "ewc", "ewc.weight": "5.0"}).train()
    with pytest.raises(
        FinetuneError, match=r"another run: method was ewc, now lora; ewc\.weight was 5\.0, now not set\. Give"
    ):
        trainer(tiny(), tmp_path, steps=2, made_of={"method": "lora"}).train()
    (tmp_path / "checkpoints" / "step-0000002" / "state.json").write_text('{"step": 2}')
    with pytest.raises(FinetuneError, match="not a checkpoint that this version reads"):
        trainer(tiny(), tmp_path, steps=2).train()


class Stop(Exception):
    """What ends a run in the middle."""


def stopped(one, step: int) -> None:
    """Train until after `step`."""

    def stop(progress) -> None:
        if progress.step == step:
            raise Stop

    one.on_progress = stop
    with pytest.raises(Stop):
        one.train()


@pytest.mark.parametrize("file", ["optimizer.pt", "weights.safetensors", "state.json"])
@pytest.mark.parametrize("size", [0, 40])
def test_a_damaged_checkpoint_is_told_and_the_one_before_it_is_taken(tiny, tmp_path: Path, file: str, size: int):
    unbroken = trainer(tiny(), tmp_path / "a")
    unbroken.train()
    stopped(trainer(tiny(), tmp_path / "b"), 5)
    checkpoints, told = tmp_path / "b" / "checkpoints", []
    newest = checkpoints / "step-0000004" / file
    newest.write_bytes(newest.read_bytes()[:size])
    resumed = trainer(tiny(), tmp_path / "b", save_every=1)
    resumed.stage = told.append
    stopped(resumed, 4)
    assert [path.name for path in sorted(checkpoints.iterdir())] == ["step-0000002", "step-0000003"], "the damaged go"
    [line] = told
    assert "step-0000004 is " in line
    assert line.endswith("Going on from step-0000002.")
    resumed = trainer(tiny(), tmp_path / "b")
    assert resumed.train() == 3
    for name, value in weights(unbroken).items():
        assert torch.equal(value, weights(resumed)[name]), name
    for path in checkpoints.glob("*/weights.safetensors"):
        path.write_bytes(b"")
    with pytest.raises(FinetuneError, match=r"step-0000006 is damaged .*--out, or delete .*checkpoints to begin anew"):
        trainer(tiny(), tmp_path / "b").train()


def on_full_disk(log: RunLog) -> None:
    log.file.close()
    log.file = Path("/dev/full").open("a", buffering=1)  # noqa: SIM115


def test_a_disk_that_is_full_for_the_log_is_one_clear_line(tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import dialog.finetune.trainer as module

    class Full(RunLog):
        def __init__(self, *args, **options) -> None:
            super().__init__(*args, **options)
            on_full_disk(self)

    monkeypatch.setattr(module, "RunLog", Full)
    with pytest.raises(FinetuneError, match=r"cannot save .*metrics\.jsonl: the disk is full"):
        trainer(tiny(), tmp_path).train()


@pytest.mark.parametrize("method", ["add_scalar", "close"])
def test_a_disk_that_is_full_for_tensorboard_is_one_clear_line(
    tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
):
    from torch.utils.tensorboard.writer import SummaryWriter

    whole = SummaryWriter.close

    def full(self, *args, **options):
        whole(self)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(SummaryWriter, method, full)
    one = trainer(tiny(), tmp_path)
    with pytest.raises(FinetuneError, match="the disk is full"):
        one.train()
    monkeypatch.undo()
    resumed = trainer(tiny(), tmp_path)
    resumed.train()
    assert [row["step"] for row in read_metrics(tmp_path / "metrics.jsonl")] == [1, 2, 3, 4, 5, 6]


def test_what_stopped_a_run_is_not_replaced_by_a_log_that_cannot_be_closed(tmp_path: Path, monkeypatch):
    log = RunLog(tmp_path)
    monkeypatch.setattr(log.board, "flush", lambda: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    on_full_disk(log)
    log.file.writelines(["{"])  # kept until the end of a line

    def stop() -> None:
        with log:
            raise Stop

    with pytest.raises(Stop):
        stop()


def scalars(folder: Path) -> list[int]:
    """The steps of the losses that TensorBoard shows, files in the order of their names."""
    board = EventAccumulator(str(folder / "tensorboard"))
    board.Reload()
    return [event.step for event in board.Scalars("loss")]


@pytest.mark.parametrize("step", [1, 3, 5])
def test_tensorboard_and_metrics_show_every_step_of_a_stopped_run_once(tiny, tmp_path: Path, step: int):
    first = trainer(tiny(), tmp_path)
    first.evaluate = lambda step: {"retention_ratio": 1.0}
    stopped(first, step)
    time.sleep(1.1)  # TensorBoard tells the files of one process apart by the second
    second = trainer(tiny(), tmp_path)
    second.evaluate = first.evaluate
    second.train()
    assert scalars(tmp_path) == [1, 2, 3, 4, 5, 6]
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in rows if "loss" in row] == [1, 2, 3, 4, 5, 6]
    assert [row["step"] for row in rows if "loss" not in row] == [0, 6]


def test_the_same_command_on_corrected_data_is_a_new_run_and_one_with_less_memory_is_not(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("GROUNDLING_HOME", str(tmp_path / "home"))
    data = files(tmp_path / "data")
    recipe = config(method="lora").model_dump(mode="json", exclude={"start", "filter", "data"})
    (data / "small.yaml").write_text(json.dumps(recipe | {"model": str(base.folder)}))  # JSON is YAML

    def command(*words: str) -> tuple[str, str]:
        done = CliRunner().invoke(main, ["finetune", str(data / "small.yaml"), *words])
        assert done.exit_code == 0, done.stderr
        return done.stdout.splitlines()[0], done.stderr

    installed, _ = command()
    assert installed.startswith("small@v0001 in ")
    same, said = command("train.micro_tokens=64", "train.save_every=2")
    assert same == f"{installed}, installed before by the same run: nothing was trained"
    assert "small@v0001 was installed before by this run" in said
    replies = data / "replies.jsonl"
    replies.write_text(replies.read_text().replace("sun moon", "sun and moon"))
    corrected, said = command()
    assert corrected.startswith("small@v0002 in ")
    assert "the data changed since" in said
    runs = list((tmp_path / "home" / "runs").iterdir())
    assert sorted(path.name for run in runs for path in run.glob("outcome.json")) == ["outcome.json"] * 2
