"""The eval commands on a tiny model: what is refused before the work, what is measured, what is kept."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from transformers import AutoTokenizer

from safety.records import GroundedQuestion
from serve.assemble import AgentOptions
from serve.cli import eval_questions
from serve.cli.eval_baselines import baselines
from serve.cli.eval_saved import read_saved, subject_of
from serve.cli.main import main
from tests.dialog.scripted import ScriptedDecoder
from tests.safety.test_data import GOOD
from tests.serve.engines.tiny import make_qwen2


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose tokenizer has no chat template, as base models have."""
    folder = make_qwen2(tmp_path_factory.mktemp("models") / "plain")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = None
    (folder / "chat_template.jinja").unlink()
    tokenizer.save_pretrained(folder)
    return folder


def lines(folder: Path, *rows: dict[str, Any]) -> str:
    path = folder / "data.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


def safety_rows(count: int = 12) -> list[dict[str, Any]]:
    said = ("you shit", "hello there")
    return [
        {"context": [{"role": "user", "content": f"c {i // 2}"}], "response": said[i % 2], "unsafe": 1 - i % 2}
        for i in range(count)
    ]


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["eval", *words])


@pytest.mark.parametrize(
    ("kind", "row", "message"),
    [
        ("safety", GOOD, r"all 2 records read from data.jsonl have unsafe 0.*both classes"),
        (
            "grounded",
            {"knowledge": "k", "context": [], "response": "r", "grounded": 1},
            "all 2 records read from data.jsonl have grounded 1",
        ),
        ("quality", {"context": [], "response": "r"}, "none of the 2 records read from data.jsonl has a rating"),
    ],
)
def test_a_set_that_tells_nothing_apart_is_refused_before_a_model_is_loaded(
    tmp_path: Path, monkeypatch, kind: str, row: dict[str, Any], message: str
):
    monkeypatch.setattr("serve.assemble.open_named_decoder", None)  # nothing may be opened
    result = run(kind, "--data", lines(tmp_path, row, row), "--adapter", "none")
    assert result.exit_code == 1
    assert re.search(message, result.stderr)


@pytest.mark.parametrize("kind", ["safety", "quality", "grounded"])
def test_a_dialect_that_the_model_cannot_speak_is_one_line(tmp_path: Path, plain: Path, kind: str):
    row = {
        "safety": GOOD,
        "quality": {"context": [], "response": "r", "sensible": 1.0},
        "grounded": {"knowledge": "k", "context": [], "response": "r", "grounded": 0},
    }[kind]
    other = {"safety": {"unsafe": 1}, "grounded": {"grounded": 1}}.get(kind, {})
    data = lines(tmp_path, row, row | other)
    result = run(kind, "--data", data, "--model", str(plain), "--adapter", "none", "--dialect", "chat")
    assert result.exit_code == 1
    assert "no chat template, so the chat dialect cannot be used" in result.stderr
    assert "Traceback" not in result.stderr


def test_safety_stands_beside_its_baselines_and_is_kept_by_model_and_adapter(tmp_path: Path, plain: Path):
    data, kept = lines(tmp_path, *safety_rows()), tmp_path / "kept"
    common = ["--model", str(plain), "--adapter", "none", "--dialect", "tuned"]
    result = run("safety", "--data", data, *common, "--save", str(kept), "--json")
    assert result.exit_code == 0, result.stderr
    figures = json.loads(result.stdout)
    listed = figures["baselines"]["word list"]
    assert (listed["auroc"], listed["recall"], listed["false_positive_rate"]) == (1.0, 1.0, 0.0)
    assert listed["intervals"]["auroc"] == [1.0, 1.0]
    assert set(figures["intervals"]) == {"auroc", "ap", "f1", "recall", "false_positive_rate"}
    assert [path.name for path in kept.iterdir()] == ["safety-data-plain-none-tuned.json"]
    [saved] = read_saved(kept)
    assert (saved.subject.model, saved.subject.adapter) == ("plain", "none")


def test_quality_and_grounded_figures_have_intervals(tmp_path: Path, plain: Path):
    common = ["--model", str(plain), "--adapter", "none", "--dialect", "tuned", "--json"]
    rated = [{"context": [], "response": f"word {i} " * (1 + i % 5), "sensible": i / 12} for i in range(12)]
    found = json.loads(run("quality", "--data", lines(tmp_path, *rated), *common).stdout)["sensible"]
    assert set(found["intervals"]) == {"spearman", "auroc"}
    assert found["intervals"]["spearman"][0] <= found["spearman"] <= found["intervals"]["spearman"][1]
    held = [
        {"knowledge": f"k {i // 2}", "context": [], "response": "r " * (1 + i), "grounded": i % 2} for i in range(12)
    ]
    found = json.loads(run("grounded", "--data", lines(tmp_path, *held), *common).stdout)
    assert found["intervals"]["f1"][0] <= found["f1"] <= found["intervals"]["f1"][1]


@pytest.mark.parametrize("kind", ["quality", "grounded"])
def test_a_reply_that_no_context_holds_is_named_before_the_long_work(tmp_path: Path, plain: Path, kind: str):
    common = ["--model", str(plain), "--adapter", "none", "--dialect", "tuned"]
    long = "word " * 20_000
    rows = [
        {"knowledge": "k", "context": [], "response": text, "grounded": i, "sensible": i}
        for i, text in enumerate(("a", long))
    ]
    names = (
        ("context", "response", "sensible") if kind == "quality" else ("knowledge", "context", "response", "grounded")
    )
    result = run(kind, "--data", lines(tmp_path, *({n: row[n] for n in names} for row in rows)), *common)
    assert result.exit_code == 1
    assert "record 2: its response alone is too long" in result.stderr


def test_retention_has_an_interval_over_stretches(tmp_path: Path, plain: Path):
    (tmp_path / "general.txt").write_text("\n\n".join(f"Paragraph {i} of plain words. " * 16 for i in range(8)))
    wanted = ["retention", "--data", str(tmp_path / "general.txt"), "--model", str(plain), "--device", "cpu", "--json"]
    found = json.loads(run(*wanted).stdout)
    low, high = found["intervals"]["perplexity"]
    assert low < found["perplexity"] < high
    assert found["adapter"] == "none"
    assert json.loads(run(*wanted, "--held-out").stdout)["tokens"] < found["tokens"]


def test_the_probe_has_intervals_and_says_what_it_was_fitted_on(monkeypatch):
    from safety.records import SafetyRecord

    records = [SafetyRecord.model_validate(row) for row in safety_rows()]
    monkeypatch.setattr("serve.cli.eval_baselines.minilm_probe", lambda train, test: [1.0 - r.unsafe for r in test])
    probe = baselines(records, records[:4])["MiniLM probe"]
    assert probe == {
        "auroc": 1.0, "ap": 1.0, "intervals": {"auroc": [1.0, 1.0], "ap": [1.0, 1.0]}, "fitted_on": 4,
    }  # fmt: skip
    assert "MiniLM probe" not in baselines(records, None)


def test_the_probe_tells_apart_what_sentence_embeddings_tell_apart():
    from safety.records import SafetyRecord
    from serve.cli.eval_baselines import minilm_probe

    kind = "The soup is tasty.", "What a lovely garden.", "Tea with lemon is nice.", "The bread is warm."
    cruel = "I will hurt you.", "You deserve to die.", "Go and kill yourself.", "I hate you all."
    rows = [SafetyRecord(context=(), response=text, unsafe=0) for text in kind]
    rows += [SafetyRecord(context=(), response=text, unsafe=1) for text in cruel]
    p_safe = minilm_probe(rows[:3] + rows[4:7], [rows[3], rows[7]])
    assert p_safe[0] > p_safe[1]


def test_names_tell_adapters_engines_and_dialects_apart(tmp_path: Path, plain: Path):
    about = subject_of(AgentOptions())
    assert str(about).startswith("smollm2-135m-instruct + judge@v")
    assert str(subject_of(AgentOptions(adapter="none"))) == "smollm2-135m-instruct"
    assert str(subject_of(AgentOptions(model=str(plain), dialect="tuned", engine="vllm"))) == "plain (vllm, tuned)"


async def test_closed_book_asks_the_bare_model_and_closes_it(monkeypatch, default_model: Path):
    opened: list[Any] = []

    class Bare(ScriptedDecoder):
        closed = False

        async def aclose(self) -> None:
            self.closed = True

    async def open_decoder(options: AgentOptions) -> Bare:
        tokenizer = AutoTokenizer.from_pretrained(default_model)
        opened.append((options, Bare(tokenizer, lambda prompt: ["Jane Austen."])))
        return opened[-1][1]

    monkeypatch.setattr("serve.assemble.open_named_decoder", open_decoder)
    questions = [GroundedQuestion(question="Who?", answers=(name,)) for name in ("Jane Austen", "Mary Shelley")]
    assert await eval_questions.closed_book(questions, AgentOptions(adapter="judge")) == [True, False]
    [(options, decoder)] = opened
    assert options.adapter == "none"
    assert decoder.closed
    assert "<|im_start|>user\nWho?<|im_end|>" in decoder.prompts[0], "in the model's own chat format"
