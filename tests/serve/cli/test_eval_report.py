"""The report page: what is compared, what is drawn, and what becomes of files that cannot be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from serve.cli.eval_saved import Saved, Scores, Subject, save_result
from serve.cli.main import main

BARE, TUNED = Subject(model="small"), Subject(model="small", adapter="judge@v0001")


def report(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["eval", "report", str(folder), *words])


def safety(subject: Subject, auroc: float) -> Saved:
    listed = {"auroc": 0.5, "ap": 0.4, "intervals": {"auroc": [0.45, 0.55]}}
    figures = {"n": 4, "auroc": auroc, "baselines": {"word list": listed}, "intervals": {"auroc": [0.5, 1.0]}}
    scores = Scores(labels=[0, 1, 0, 1], scores=[0.1, 0.9, 0.6, 0.4])
    return Saved(eval="safety", data="mine.jsonl", subject=subject, figures=figures, scores=scores)


def test_two_adapters_on_one_data_set_are_two_columns_with_the_baselines_beside(tmp_path: Path):
    for subject, auroc in ((TUNED, 0.75), (BARE, 0.625)):
        save_result(tmp_path, safety(subject, auroc))
    assert len(list(tmp_path.glob("*.json"))) == 2, "neither is written over the other"
    result = report(tmp_path, "--json")
    assert [one["figures"]["auroc"] for one in json.loads(result.stdout)["results"]] == [0.75, 0.625]
    page = (tmp_path / "report.md").read_text()
    assert page.count("## safety: mine.jsonl") == 1
    assert "| figure | small | small + judge@v0001 | word list |" in page
    assert "| auroc | 0.6250 (0.500 to 1.000) | 0.7500 (0.500 to 1.000) | 0.5000 (0.450 to 0.550) |" in page
    assert "| n | 4 | 4 |  |" in page
    assert (tmp_path / "safety-mine.png").read_bytes().startswith(b"\x89PNG")
    assert "(safety-mine.png)" in page


def test_other_data_of_one_name_and_other_limits_are_tables_of_their_own(tmp_path: Path):
    first = safety(BARE, 0.75).model_copy(update={"folder": "a", "content": "11aa"})
    for more in ({}, {"folder": "b", "content": "22bb"}, {"options": {"limit": 2}}, {"content": "33cc"}):
        save_result(tmp_path, first.model_copy(update=more))
    save_result(tmp_path, first.model_copy(update={"subject": TUNED}))
    assert len(list(tmp_path.glob("*.json"))) == 5, "none is written over another"
    assert report(tmp_path).exit_code == 0
    page = (tmp_path / "report.md").read_text()
    titles = ["a/mine.jsonl (11aa)", "b/mine.jsonl", "a/mine.jsonl (limit 2)", "a/mine.jsonl (33cc)"]
    assert {line for line in page.splitlines() if line.startswith("##")} == {f"## safety: {title}" for title in titles}
    assert page.count("| figure | small | small + judge@v0001 | word list |") == 1, "of the same data alone"
    pictures = ["a_mine_11aa", "b_mine", "a_mine_limit_2", "a_mine_33cc"]
    assert {path.name for path in tmp_path.glob("*.png")} == {f"safety-{name}.png" for name in pictures}


def test_one_adapter_at_two_thresholds_is_two_columns_of_one_table(tmp_path: Path):
    for threshold in (0.25, 0.5):
        save_result(tmp_path, safety(TUNED, threshold).model_copy(update={"options": {"threshold": threshold}}))
    save_result(tmp_path, safety(BARE, 0.75).model_copy(update={"options": {"threshold": 0.5}}))
    assert report(tmp_path).exit_code == 0
    [head] = [line for line in (tmp_path / "report.md").read_text().splitlines() if line.startswith("| figure")]
    columns = [name.strip() for name in head.strip("|").split("|")]
    assert columns[1] == "small"
    assert {*columns[2:-1]} == {f"small + judge@v0001, threshold {threshold}" for threshold in (0.25, 0.5)}


def test_attributes_and_rates_get_bars_with_intervals(tmp_path: Path):
    rated = {"n": 9, "spearman": 0.5, "auroc": None, "intervals": {"spearman": [0.1, 0.8]}}
    save_result(tmp_path, Saved(eval="quality", data="q.jsonl", subject=BARE, figures={"sensible": rated}))
    assert report(tmp_path, "--out", str(tmp_path / "new" / "page.md")).exit_code == 0
    page = (tmp_path / "new" / "page.md").read_text()
    assert "| sensible spearman | 0.5000 (0.100 to 0.800) |" in page
    assert "| sensible auroc | - |" in page
    assert (tmp_path / "new" / "quality-q.png").is_file()


def test_embodied_results_are_a_table_of_tasks_with_bars(tmp_path: Path):
    def task(base: float, tuned: float) -> dict[str, Any]:
        ends = {"base_low": base - 0.1, "base_high": base + 0.1, "low": tuned - 0.1, "high": tuned + 0.1}
        return {"n": 10, "base": base, "tuned": tuned, **ends}

    figures = {
        "n": 20, "executable": 0.5, "executable_base": 0.2, "executable_template": 0.1,
        "tasks": {"counting": task(0.25, 0.5) | {"majority": 0.25}, "plans": task(0.4, 0.6) | {"template": 0.3}},
        "perplexity_base": 11.0, "perplexity_tuned": 11.1, "mean_relative_improvement": 0.75,
    }  # fmt: skip
    tuned = Subject(model="small", adapter="embodied@v0001")
    save_result(tmp_path, Saved(eval="embodied", data="seed-0", subject=tuned, figures=figures))
    assert report(tmp_path).exit_code == 0
    page = (tmp_path / "report.md").read_text()
    assert "| figure | small | small + embodied@v0001 | baseline |" in page
    assert "| counting | 0.2500 (0.150 to 0.350) | 0.5000 (0.400 to 0.600) | 0.2500 |" in page
    assert "| plans | 0.4000 (0.300 to 0.500) | 0.6000 (0.500 to 0.700) | 0.3000 |" in page
    assert "| executable | 0.2000 | 0.5000 | 0.1000 |" in page
    assert "| mean_relative_improvement |  | 0.7500 |" in page
    assert "(embodied-seed-0.png)" in page
    assert (tmp_path / "embodied-seed-0.png").is_file()


def test_the_mean_gain_has_its_interval_and_no_bar_among_shares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    ends = {"base_low": 0.1, "base_high": 0.4, "low": 0.3, "high": 0.7}
    figures = {
        "n": 10, "tasks": {"counting": {"n": 10, "base": 0.25, "tuned": 0.5, "majority": 0.25, **ends}},
        "mean_relative_improvement": 1.0, "mean_relative_improvement_low": -0.25,
        "mean_relative_improvement_high": 2.5,
    }  # fmt: skip
    tuned = Subject(model="small", adapter="embodied@v0001")
    save_result(tmp_path, Saved(eval="embodied", data="seed-0", subject=tuned, figures=figures))
    drawn: list[str] = []
    monkeypatch.setattr("serve.cli.eval_plots.bars", lambda rows, *rest: drawn.extend(rows))
    assert report(tmp_path).exit_code == 0
    assert "| mean_relative_improvement |  | 1.0000 (-0.250 to 2.500) |" in (tmp_path / "report.md").read_text()
    assert drawn == ["counting"]


def test_pictures_of_data_that_only_their_ending_tells_apart_are_two(tmp_path: Path):
    names = ("general.txt", "general.jsonl", "General.txt", "other.txt")
    figures = {"perplexity": 9.0, "intervals": {"perplexity": [8.0, 10.0]}}
    for data in names:
        save_result(tmp_path, Saved(eval="retention", data=data, subject=BARE, figures=figures))
    assert report(tmp_path).exit_code == 0
    drawn = {path.name for path in tmp_path.glob("*.png")}
    assert len({name.lower() for name in drawn}) == len(names)
    assert {"retention-general.jsonl.png", "retention-other.png"} <= drawn
    page = (tmp_path / "report.md").read_text()
    assert all(f"({name})" in page for name in drawn)


def test_the_title_says_what_was_measured_unless_it_is_given(tmp_path: Path):
    for subject in (TUNED, BARE):
        save_result(tmp_path, safety(subject, 0.75))

    def title(*words: str) -> str:
        assert report(tmp_path, *words).exit_code == 0
        return (tmp_path / "report.md").read_text().splitlines()[0]

    assert title() == "# Evaluation of small, small + judge@v0001"
    assert title("--title", "Mine") == "# Mine"
    for i in range(4):
        save_result(tmp_path, safety(Subject(model=f"z{i}"), 0.75))
    assert title() == "# Evaluation of small, small + judge@v0001, z0, z1 and 2 more"


def test_questions_say_which_of_their_figures_are_so_by_construction(tmp_path: Path):
    figures = {"n": 3, "groundedness": 1.0, "groundedness_judged": None, "intervals": {"groundedness": [0.3, 1.0]}}
    save_result(tmp_path, Saved(eval="questions", data="q.jsonl", subject=BARE, figures=figures))
    save_result(tmp_path, safety(BARE, 0.75))
    assert report(tmp_path).exit_code == 0
    page = (tmp_path / "report.md").read_text()
    assert page.count("`groundedness` is 1 or next to it by construction") == 1
    assert "| groundedness_judged | - |" in page


@pytest.mark.parametrize("text", ['{"eval": "safety", "fig', '{"eval": 3, "figures": []}'])
def test_a_broken_result_is_named_in_one_line(tmp_path: Path, text: str):
    (tmp_path / "safety-mine.json").write_text(text)
    result = report(tmp_path)
    assert result.exit_code == 1
    [line] = result.stderr.splitlines()
    assert "safety-mine.json is no whole saved result" in line
    assert "Delete it, or run its eval command again with --save" in line


def test_other_json_is_passed_over_and_an_empty_folder_says_what_to_do(tmp_path: Path):
    (tmp_path / "tsconfig-base.json").write_text("{}")
    result = report(tmp_path)
    assert result.exit_code == 1
    assert "holds no saved result. Run an eval command with --save" in result.stderr
