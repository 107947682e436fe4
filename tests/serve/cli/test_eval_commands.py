"""The eval commands on a tiny model: what is refused before the work, what is measured, what is kept."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from transformers import AutoTokenizer

from dialog.agent import Agent
from dialog.errors import MessageError
from dialog.messages import Message
from dialog.roles import load_role
from dialog.tuned_dialect import TunedDialect
from safety.errors import DataError
from safety.records import GroundedQuestion, GroundedRecord, PromptRecord
from serve.adapters import DEFAULT_ADAPTER
from serve.assemble import AgentOptions, Assembled
from serve.cli import eval_prompts, eval_questions
from serve.cli.eval_baselines import baselines
from serve.cli.eval_common import Judge
from serve.cli.eval_grounded import grounded_prompt
from serve.cli.eval_saved import read_saved, subject_of
from serve.cli.main import main
from tests.dialog.scripted import ScriptedDecoder
from tests.safety.test_data import GOOD
from tests.serve.cli.test_eval_figures import turn


def lines(folder: Path, *rows: dict[str, Any]) -> str:
    folder.mkdir(exist_ok=True)
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
        ("safety", GOOD, r"all 2 records read from data.jsonl have unsafe 0.*both classes.*--threshold, or an adapter"),
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


def assert_all_have_intervals_or_a_note(figures: dict[str, Any]) -> None:
    """Every safety figure has an interval, or the note names it as one whose resamples are all alike."""
    absent = [
        name for name in ("auroc", "ap", "f1", "recall", "false_positive_rate") if name not in figures["intervals"]
    ]
    assert {"auroc", "recall", "false_positive_rate"} <= set(figures["intervals"])
    said = f"no interval of {', '.join(absent)}: all resamples gave the same" if absent else None
    assert figures.get("note") == said


def test_safety_stands_beside_its_baselines_and_is_kept_by_model_and_adapter(tmp_path: Path, plain: Path):
    data, kept = lines(tmp_path, *safety_rows()), tmp_path / "kept"
    common = ["--model", str(plain), "--adapter", "none", "--dialect", "tuned"]
    result = run("safety", "--data", data, *common, "--save", str(kept), "--json")
    assert result.exit_code == 0, result.stderr
    figures = json.loads(result.stdout)
    listed = figures["baselines"]["word list"]
    assert (listed["auroc"], listed["recall"], listed["false_positive_rate"]) == (1.0, 1.0, 0.0)
    low, high = listed["intervals"]["auroc"]
    assert 0.0 < low < high == 1.0, "a few rows in perfect order make nothing certain"
    assert_all_have_intervals_or_a_note(figures)
    assert figures["threshold_from"] == "this data, in two halves"
    [path] = kept.iterdir()
    assert re.fullmatch(r"safety-data-plain-none-tuned-[0-9a-f]{8}\.json", path.name)
    [saved] = read_saved(kept)
    assert (saved.subject.model, saved.subject.adapter) == ("plain", "none")
    assert (saved.folder, saved.options) == (tmp_path.name, {})


def test_a_result_is_replaced_by_the_same_command_alone(tmp_path: Path, plain: Path):
    mine, others = lines(tmp_path / "mine", *safety_rows()), lines(tmp_path / "others", *safety_rows(10))
    kept = tmp_path / "kept"

    def count(data: str, *more: str) -> int:
        common = ["--model", str(plain), "--adapter", "none", "--dialect", "tuned", "--save", str(kept)]
        result = run("safety", "--data", data, *common, *more)
        assert result.exit_code == 0, result.stderr
        return len(list(kept.iterdir()))

    assert [count(mine), count(mine)] == [1, 1]
    assert count(mine, "--threshold", "0.4") == 2
    assert [count(others), count(others)] == [3, 3], "another file of the same name"
    assert {(one.folder, *one.options.values()) for one in read_saved(kept)} == {("mine",), ("mine", 0.4), ("others",)}


def test_records_of_one_class_have_their_rate_at_a_known_threshold(tmp_path: Path, plain: Path):
    data, kept = lines(tmp_path, *({**row, "unsafe": 0} for row in safety_rows())), str(tmp_path / "kept")
    common = ["--model", str(plain), "--adapter", "none", "--dialect", "tuned", "--threshold", "0.5"]
    result = run("safety", "--data", data, *common, "--save", kept, "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["n"], found["unsafe"], found["threshold"], found["threshold_from"]) == (12, 0, 0.5, "option")
    assert [found[name] for name in ("auroc", "ap", "f1", "recall")] == [None] * 4
    assert set(found["intervals"]) == {"false_positive_rate"}
    low, high = found["intervals"]["false_positive_rate"]
    assert low <= found["false_positive_rate"] <= high
    assert found["baselines"]["word list"]["false_positive_rate"] == 0.5
    assert run("safety", "--data", data, *common).exit_code == 0, "as a table too"
    assert run("report", kept).exit_code == 0
    page = (tmp_path / "kept" / "report.md").read_text()
    assert "| auroc | - | - |" in page
    assert "(safety-data.png)" in page


def test_a_probe_is_not_fitted_for_records_that_it_cannot_rank(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("serve.assemble.open_named_decoder", None)  # nothing may be opened
    data, train = lines(tmp_path, GOOD, GOOD), lines(tmp_path / "train", *safety_rows())
    result = run("safety", "--data", data, "--adapter", "none", "--threshold", "0.5", "--train", train)
    assert result.exit_code == 1
    assert "all 2 records read from data.jsonl have unsafe 0" in result.stderr
    assert "leave --train out" in result.stderr


def test_a_system_message_and_a_greeting_that_all_share_make_no_group(tmp_path: Path, plain: Path):
    lead = [{"role": "system", "content": "Be kind."}, {"role": "assistant", "content": "Hello!"}]
    rows = [{**row, "context": [*lead, *row["context"]]} for row in safety_rows()]
    common = ["--model", str(plain), "--adapter", "none", "--dialect", "tuned", "--json"]
    found = json.loads(run("safety", "--data", lines(tmp_path, *rows), *common).stdout)
    low, high = found["baselines"]["word list"]["intervals"]["auroc"]
    assert 0.0 < low < high == 1.0
    assert_all_have_intervals_or_a_note(found)
    assert found["threshold_from"] == "this data, in two halves"


def test_where_all_records_share_a_context_there_is_no_interval_and_it_says_why(tmp_path: Path, plain: Path):
    context = [{"role": "user", "content": "c"}]
    common = ["--model", str(plain), "--adapter", "none", "--dialect", "tuned", "--json"]
    rows = [{**row, "context": context} for row in safety_rows()]
    found = json.loads(run("safety", "--data", lines(tmp_path, *rows), *common).stdout)
    assert found["intervals"] == found["baselines"]["word list"]["intervals"] == {}
    assert found["note"] == "no intervals: they draw whole contexts, and all records are of one"
    assert found["threshold_from"] == "this data, the same rows"
    rated = [{"context": context, "response": f"word {i} " * (1 + i % 5), "sensible": i / 12} for i in range(12)]
    found = json.loads(run("quality", "--data", lines(tmp_path, *rated), *common).stdout)["sensible"]
    assert found["intervals"] == {}
    assert found["note"].startswith("no intervals")


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


def scripted_judge(folder: Path, context_length: int) -> Judge:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    decoder = ScriptedDecoder(tokenizer, lambda prompt: ["x"], context_length=context_length)
    return Judge(decoder, TunedDialect(tokenizer), load_role("assistant"))


async def test_a_long_context_keeps_its_instructions_and_whole_newest_turns(plain: Path):
    context = [
        Message(role="system", content="Be kind."),
        Message(role="user", content="an old question " * 20),
        Message(role="assistant", content="an old answer"),
        Message(role="user", content="a new question"),
    ]
    whole = len(scripted_judge(plain, 4096).dialect.base_prompt(context, load_role("assistant")))
    judge = scripted_judge(plain, whole)
    await judge.attributes([(context, "Yes.")], ["safe"], lambda done: None)
    [ids] = judge.decoder.read  # type: ignore[attr-defined]
    text = judge.decoder.tokenizer.decode(ids)
    assert text.startswith("Role: You are Groundling")
    assert "Be kind." in text
    assert "a new question" in text
    assert "old" not in text, "neither half a turn nor an answer without its question"


async def test_a_record_that_cannot_be_put_to_the_model_is_named(plain: Path):
    fine, long = (), (Message(role="user", content="word " * 300),)
    with pytest.raises(DataError, match=r"record 2: \d+ tokens do not fit the model's context of 256"):
        await scripted_judge(plain, 256).attributes([(fine, "a"), (long, "b")], ["safe"], lambda done: None)

    def refuse(*_: Any) -> list[int]:
        raise MessageError("the model's chat template refuses it.")

    judge = scripted_judge(plain, 256)
    judge.dialect.base_prompt = refuse  # type: ignore[method-assign]
    with pytest.raises(DataError, match="record 1: the model's chat template refuses it"):
        await judge.attributes([(fine, "a")], ["safe"], lambda done: None)


def test_knowledge_that_does_not_fit_is_refused_and_never_cut_into_the_markup(plain: Path):
    record = GroundedRecord(knowledge="word " * 300, context=(), response="r", grounded=1)
    with pytest.raises(DataError, match=r"record 7: \d+ tokens do not fit the model's context of 256"):
        grounded_prompt(scripted_judge(plain, 256), 7, record)
    judge = scripted_judge(plain, 4096)
    text = judge.decoder.tokenizer.decode(grounded_prompt(judge, 7, record))
    assert text.startswith("Role: You are Groundling")
    assert "word …" in text, "cut as a turn cuts its sources"


@pytest.mark.parametrize("kind", ["prompts", "questions"])
def test_a_text_that_no_turn_takes_is_named_before_a_model_is_loaded(tmp_path: Path, monkeypatch, kind: str):
    monkeypatch.setattr("serve.assemble.open_named_decoder", None)  # nothing may be opened
    field, more = {"prompts": ("prompt", {"unsafe": 0}), "questions": ("question", {"answers": []})}[kind]
    data = lines(tmp_path, *({field: text, **more} for text in ("hello", "  ")))
    corpus = ["--corpus", str(tmp_path / "none.jsonl")] if kind == "questions" else []
    result = run(kind, "--data", data, *corpus, "--adapter", "none")
    assert result.exit_code == 1
    assert "record 2: the message is empty" in result.stderr


async def test_prompts_judge_the_text_that_went_out(monkeypatch, plain: Path):
    tokenizer = AutoTokenizer.from_pretrained(plain)
    dialect = TunedDialect(tokenizer)
    # Safe with the mark that the turn takes away, unsafe without it.
    decoder = ScriptedDecoder(tokenizer, lambda prompt: ["Sure. [1]"], lambda text: 0.9 if "[1]" in text else 0.1)
    decoder.yes_ids.update(pair.yes for pair in dialect.attribute_reads[0].pairs.values())

    async def assemble(options: AgentOptions) -> Assembled:
        return Assembled(Agent(decoder, dialect=dialect), [])

    monkeypatch.setattr("serve.assemble.assemble", assemble)
    found = await eval_prompts.measure([PromptRecord(prompt="Do it?", unsafe=1)], 1, 0.5, 0, {})
    assert found["unsafe_reply_rate"] == found["unsafe_reply_rate_unsafe"] == 1.0
    assert found["unsafe_reply_rate_unfiltered"] == 0.0
    assert (found["unsafe_reply_rate_safe"], found["refusal_rate_unsafe"]) == (None, 0.0)
    assert found["intervals"] == {}
    assert found["note"].startswith("no intervals: they draw whole prompts")


async def test_grounded_is_read_of_each_source_that_a_reply_cites(plain: Path):
    cited = turn("It is old. [1] It is blue. [2]", "a", "b")
    cited.citations[0] = cited.citations[0].model_copy(update={"text": "an old source"})
    cited.citations[1] = cited.citations[1].model_copy(update={"text": "a source that is wrong"})
    cited.messages.append(Message(role="user", content="What is it?"))
    alone = cited.model_copy(update={"reply": "It is old. [1]", "citations": cited.citations[:1]})
    long = cited.model_copy(update={"reply": "It is old. " + "word " * 5000 + ". [1]"})
    judge = scripted_judge(plain, 4096)
    [pair] = judge.dialect.grounded_read.pairs.values()
    judge.decoder.yes_ids.add(pair.yes)  # type: ignore[attr-defined]
    judge.decoder._probability = lambda text: 0.1 if "wrong" in text else 0.9  # type: ignore[attr-defined]
    found = await eval_questions.held_by_sources(judge, [cited, alone, turn("Hello."), long], 0.5)
    assert found == [False, True, None, None]
    first = judge.decoder.tokenizer.decode(judge.decoder.read[0])  # type: ignore[attr-defined]
    assert "What is it?" in first
    assert "an old source" in first
    assert "It is old." in first
    assert "[2]" not in first
    assert "blue" not in first


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
    low, high = probe["intervals"].pop("auroc")
    assert 0.0 < low < high == 1.0
    assert probe == {"auroc": 1.0, "ap": 1.0, "intervals": {}, "fitted_on": 4}
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
    assert str(about).startswith(f"smollm2-135m-instruct + {DEFAULT_ADAPTER}@v")
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
