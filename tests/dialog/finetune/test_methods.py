"""The comparison of methods: what it interpolates, and a whole small one, interrupted and gone on with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from dialog.errors import FinetuneError
from dialog.finetune.run import Base
from dialog.finetune.sources import load_task_data
from tests.benchmarks.methods import Point, command, ratio_at, summary
from tests.dialog.finetune.small import config, files


def test_a_ratio_is_read_where_the_loss_falls_to_the_wanted_one():
    points = [Point(1.0, 1.0, 1.10), Point(0.0, 3.0, 1.0), Point(0.5, 2.0, 1.02)]
    assert ratio_at(points, 1.0) == pytest.approx(1.10)
    assert ratio_at(points, 1.5) == pytest.approx(1.06)
    assert ratio_at(points, 3.0) == pytest.approx(1.0)
    assert ratio_at(points, 0.9) is None, "it never learned so much"


def test_methods_are_compared_where_the_weakest_of_them_got_to():
    strong = [Point(0.0, 3.0, 1.0), Point(1.0, 1.0, 1.2)]
    weak = [Point(0.0, 3.0, 1.0), Point(1.0, 2.0, 1.01)]
    found = summary({"lora": (strong, 10), "ewc 1": (weak, 10)})
    assert (found["base_loss"], found["common_loss"]) == (3.0, 2.0)
    assert found["variants"]["lora"]["ratio_at_common_loss"] == pytest.approx(1.1)
    assert found["variants"]["ewc 1"]["ratio_at_common_loss"] == pytest.approx(1.01)


def test_a_small_comparison_goes_on_where_it_stopped(base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GROUNDLING_HOME", str(tmp_path / "home"))
    data, out = files(tmp_path / "data"), tmp_path / "out"
    recipe = config().model_dump(mode="json", exclude={"start", "filter", "data"}) | {"model": str(base.folder)}
    (data / "small.yaml").write_text(yaml.safe_dump(recipe))

    def compare(*more: str):
        arguments = [str(data / "small.yaml"), "--weights", "1,1e6", "--records", "8", "--out", str(out), *more]
        return CliRunner().invoke(command, [*arguments, "--json"])

    first = compare()
    assert first.exit_code == 0, first.output
    found = json.loads(first.stdout)
    assert list(found["variants"]) == ["lora", "replay", "ewc 1", "ewc 1e+06"]
    for one in found["variants"].values():
        assert [point["scale"] for point in one["points"]] == [0.0, 0.4, 0.7, 1.0]
        assert one["points"][0]["loss"] == found["base_loss"]
        assert one["loss"] <= found["common_loss"]
        assert one["tokens"] > 0
    assert first.stderr.count("Fisher information of") == 1, "the second weight takes the first one's"
    # What was measured stands; the one that is missing is measured on its checkpoint.
    (out / "replay" / "points.json").unlink()
    again = compare()
    assert json.loads(again.stdout) == found
    assert again.stderr.count("held-out examples") == 1
    # Other settings are never answered from what other ones gave.
    other = compare("train.learning_rate=0.1")
    assert other.exit_code != 0


def test_a_comparison_of_other_data_is_not_answered_from_what_was_measured_before(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tests.benchmarks.methods.variants", lambda weights: {"lora": ["method=lora"]})
    monkeypatch.setenv("GROUNDLING_HOME", str(tmp_path / "home"))
    data, out = files(tmp_path / "data"), tmp_path / "out"
    recipe = config().model_dump(mode="json", exclude={"start", "filter", "data"}) | {"model": str(base.folder)}
    (data / "small.yaml").write_text(yaml.safe_dump(recipe))

    def compare():
        arguments = [str(data / "small.yaml"), "--records", "8", "--out", str(out), "--json"]
        return CliRunner().invoke(command, arguments)

    def change(file: str, held_out: bool) -> None:
        """Another reply in one record of that side of the split."""
        [one] = [one for one in load_task_data(config(), data) if one.source.path == file]
        asked = {record.context[0].content for record in one.held_out}  # type: ignore[union-attr]
        rows = [json.loads(line) for line in (data / file).read_text().splitlines()]
        for row in rows:
            if (row["context"][0]["content"] in asked) == held_out:
                row["response"] += " snow"
        (data / file).write_text("\n".join(map(json.dumps, rows)))

    first = compare()
    assert first.exit_code == 0, first.output
    again = compare()
    assert again.stdout == first.stdout
    assert "held-out examples" not in again.stderr
    change("replies.jsonl", held_out=True)
    measured = compare()
    assert "held-out examples" in measured.stderr
    assert json.loads(measured.stdout)["base_loss"] != json.loads(first.stdout)["base_loss"]
    (data / "general.txt").write_text((data / "general.txt").read_text().replace("moon", "Mars"))
    assert "held-out examples" in compare().stderr
    change("replies.jsonl", held_out=False)
    refused = compare()
    assert isinstance(refused.exception, FinetuneError)
    assert "checkpoint of another run: other examples" in str(refused.exception)


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path):
    for weights in ("much", "1,,2", "0", "-1", "nan", "inf"):
        found = CliRunner().invoke(command, ["judge", "data=d", "--weights", weights, "--out", str(tmp_path)])
        assert found.exit_code == 2
        assert weights in found.stderr
