"""The comparison of methods: what it interpolates, and a whole small one, interrupted and gone on with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from dialog.finetune.run import Base
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


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path):
    for weights in ("much", "1,,2", "0", "-1", "nan", "inf"):
        found = CliRunner().invoke(command, ["judge", "data=d", "--weights", weights, "--out", str(tmp_path)])
        assert found.exit_code == 2
        assert weights in found.stderr
