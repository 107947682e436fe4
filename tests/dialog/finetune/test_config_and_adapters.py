"""Recipes and their faults, adapter folders and their cards, perplexity and curves."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from click.testing import CliRunner

from dialog.errors import AdapterError, FinetuneError, RecordError
from dialog.finetune.adapters import NAME, AdapterCard, AdapterStore, adapter_label, read_card, write_adapter
from dialog.finetune.config import Config, DataSource, LoraSettings, load_config, recipes
from dialog.finetune.identity import FREE, data_digest, decided_by, run_identity
from dialog.finetune.lora import add_adapter
from dialog.finetune.retention import general_text, perplexity, read_texts
from dialog.finetune.run_log import RunLog, draw_curves, read_metrics
from dialog.finetune.saving import write_whole
from dialog.finetune.sources import KINDS, context_key, load_task_data
from tests.benchmarks.finetune import command as bench_finetune

REPOSITORY = Path(__file__).parents[3]
MINE = """
name: mine
retention: {texts: [general.txt]}
tasks: {reply: {sources: [{path: data.jsonl}]}}
"""


def test_every_recipe_loads_says_its_command_and_names_known_kinds():
    for name, path in recipes().items():
        config, _ = load_config(name, ["data=d"])
        assert path.read_text().startswith(f"# groundling finetune {name}")
        assert {source.kind for task in config.tasks.values() for source in task.sources} <= set(KINDS)


def test_the_documented_files_of_the_recipe_judge_are_those_it_reads():
    config, _ = load_config("judge", ["data=d"])
    reads = {source.path for task in config.tasks.values() for source in task.sources if source.path}
    table = (REPOSITORY / "docs" / "finetune.md").read_text().split("| file | from |")[1]
    marked: set[str] = set()
    for row in table.splitlines():
        names = re.findall(r"[\w/]+\.(?:jsonl|txt)", row.split("|")[1]) if row.startswith("| ") else []
        if row.split("|")[1:2] and row.split("|")[1].endswith(" J "):
            folder = names[0].rpartition("/")[0]
            marked |= {name if "/" in name else f"{folder}/{name}" for name in names}
    assert marked == reads | set(config.retention.texts)


def test_the_fisher_benchmark_measures_samples_of_the_recipes_length():
    [length] = [option for option in bench_finetune.params if option.name == "length"]
    for name in ("judge", "embodied"):
        assert length.default == load_config(name, ["data=d"])[0].ewc.sample_tokens


def test_a_recipe_extends_another_and_changes_reach_inside():
    judge, _ = load_config("judge", ["data=d"])
    config, _ = load_config("joint-cpu", ["data=d", "train.learning_rate=2e-4", "lora.rank=4", "method=lora"])
    assert config.retention == judge.retention
    assert config.tasks.keys() == judge.tasks.keys() | {"preference", "research", "generation", "text"}
    assert (config.train.learning_rate, config.lora.rank, config.method) == (2e-4, 4, "lora")
    assert (config.lora.from_layer, config.dialect, config.start) == (20, "judged", ("judge@v0002",))
    assert (config.train.batch_size, config.train.max_tokens) == (32, 320)


@pytest.mark.parametrize(
    ("mine", "changes", "licence"),
    [
        ("", [], "CC-BY-SA-3.0, public domain, MIT"),
        ("retention: {tokens: 512}", ["retention.max_ratio=1.02"], "CC-BY-SA-3.0, public domain, MIT"),
        ("retention: {texts: [own.txt]}", [], "unknown"),
        ("retention: {texts: [own.txt], licence: own}", [], "own"),
        ("retention: {texts: [own.txt], licence: own}", ["retention.texts=[other.txt]"], "unknown"),
        ("retention: {texts: [own.txt], licence: own}", ["retention.tokens=512"], "own"),
        ("", ["retention.texts=[own.txt]"], "unknown"),
        ("", ["retention={texts: [own.txt]}"], "unknown"),
        ("", ["retention.licence=own", "retention.texts=[own.txt]"], "own"),
        ("", ["retention={texts: [own.txt], licence: own}"], "own"),
    ],
)
def test_a_licence_is_of_the_texts_that_it_was_given_for(tmp_path: Path, mine: str, changes: list[str], licence: str):
    (tmp_path / "mine.yaml").write_text(f"extends: judge-more\nname: mine\n{mine}\n")
    config, _ = load_config(str(tmp_path / "mine.yaml"), changes)
    assert config.retention.licence == licence


@pytest.mark.parametrize("parent", ["[judge]", "{judge: 1}", "3", "jugde", "true"])
def test_what_extends_no_recipe_is_refused(tmp_path: Path, parent: str):
    (tmp_path / "mine.yaml").write_text(f"extends: {parent}\n{MINE}")
    with pytest.raises(FinetuneError, match=r"mine\.yaml: extends .*, which is no recipe\. Use one of .*judge"):
        load_config(str(tmp_path / "mine.yaml"))


def test_recipes_guard_with_weights_of_one_order_and_may_scale_back():
    for name in recipes():
        config, _ = load_config(name, ["data=d"])
        assert 5e3 <= config.ewc.weight <= 2e5, name
        assert config.retention.least_scale < 1, name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("train.stepz=3", r"train\.stepz"),
        ("train.steps=0", r"train\.steps"),
        ("filter={adapter: judge, tasks: [chat]}", r"filter: .*names 'chat', which is no task"),
        ("method=magic", "method"),
        ("steps", "is not key=value"),
        ("name.x=1", "holds a value"),
    ],
)
def test_a_wrong_key_or_value_is_named(tmp_path: Path, change: str, message: str):
    path = tmp_path / "mine.yaml"
    path.write_text(MINE)
    assert load_config(str(path))[1] == tmp_path
    with pytest.raises(FinetuneError, match=message):
        load_config(str(path), [change])


def test_unknown_recipes_and_kinds_are_refused(tmp_path: Path):
    with pytest.raises(FinetuneError, match=r"judge does not know where its files are.*data=FOLDER.*finetune\.md"):
        load_config("judge")
    with pytest.raises(FinetuneError, match=r"no recipe or file 'jiont'.*joint"):
        load_config("jiont")
    path = tmp_path / "mine.yaml"
    path.write_text(MINE)
    config, folder = load_config(str(path))
    with pytest.raises(RecordError, match=r"data\.jsonl cannot be read"):
        load_task_data(config, folder)
    task = config.tasks["reply"].model_copy(update={"sources": (DataSource(kind="diasafetty", path="x"),)})
    with pytest.raises(FinetuneError, match="unknown kind 'diasafetty'"):
        load_task_data(config.model_copy(update={"tasks": {"reply": task}}), folder)


def test_the_documented_walk_through_makes_what_its_configuration_reads(tmp_path: Path):
    text = (REPOSITORY / "docs" / "finetune.md").read_text()
    script, recipe = (text.split(f"```{language}\n")[1].split("```")[0] for language in ("python", "yaml"))
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, timeout=60)
    (tmp_path / "mine.yaml").write_text(recipe)
    config, folder = load_config(str(tmp_path / "mine.yaml"))
    assert config.retention.licence == "unknown", "the licence of the recipe's texts is not that of one's own"
    learn, measure = general_text([folder / text for text in config.retention.texts])
    assert learn
    assert measure
    [one] = load_task_data(config, folder)
    assert {record.ratings["safe"] for record in one.train} == {0.0, 1.0}  # type: ignore[union-attr]
    assert {record.ratings["safe"] for record in one.held_out} == {0.0, 1.0}  # type: ignore[union-attr]


def test_every_kind_reads_its_public_file_and_splits_by_key(shared_data: Path):
    config, _ = load_config("joint", ["data=d"])
    data = load_task_data(config, shared_data)
    assert {one.source.kind for one in data} == {
        source.kind for task in config.tasks.values() for source in task.sources
    }
    for one in data:
        assert one.train, one.source
        sides = [{context_key(record) for record in side} for side in (one.train, one.held_out)]
        if one.source.kind in ("diasafety", "toxichat", "sbf", "begin", "hh-pairs"):
            assert not sides[0] & sides[1], one.source


def test_a_reply_that_its_document_holds_is_researched_and_an_opinion_is_not(tmp_path: Path):
    film = {
        "movieName": "Iron Man", "introduction": "Iron Man is a 2008 film.", "director": "Jon Favreau",
        "genre": "Action", "year": "2008", "rating": ["Rotten Tomatoes: 94%"],
    }  # fmt: skip
    (tmp_path / "cmudog_docs.jsonl").write_text(json.dumps({"wikiDocumentIdx": 7, "0": film, "1": "Tony is captured."}))
    turns = [
        ["a", 0, "Who made it?"],
        ["b", 0, "It was directed by Jon Favreau in 2008."],
        ["a", 0, "Nice."],
        ["b", 0, "I think Robert Downey is the best actor ever."],
    ]
    row = {"id": "x", "doc": 7, "saw_doc": ["b"], "turns": turns}
    (tmp_path / "cmudog.jsonl").write_text(json.dumps(row))
    [(key, record, dialog, opening)] = KINDS["cmu-dog"](tmp_path / "cmudog.jsonl", 0)
    assert dialog.startswith("Who made it?\nIt was")
    assert (key, opening) == ("Iron Man", "Who made it?")
    place = next(i for i, one in enumerate(record.steps[0].evidence) if "Favreau" in one.text)
    assert record.final == f"It was directed by Jon Favreau in 2008. [{place + 1}]"
    assert record.context[-1].content == "Who made it?"


def card(**changes) -> AdapterCard:
    values = {"name": "mine", "base_model": "tiny", "base_revision": "r", "method": "ewc"}
    return AdapterCard(**{**values, **changes})


def test_a_new_version_is_a_new_path_and_the_newest_is_found(tiny, tmp_path: Path):
    adapted = add_adapter(tiny(), LoraSettings(rank=2), base="tiny", revision="r")
    store = AdapterStore(tmp_path / "store")
    made = tmp_path / "made"
    write_adapter(made, adapted, card(safety_threshold=0.4, refused="forgot"))
    first, second = store.install(made), store.install(made)
    assert (first.card.version, second.card.version) == ("v0001", "v0002")
    assert store.find("mine").path == second.path
    assert store.find("mine@v0001").path == first.path
    assert store.find(str(made)).card.refused == "forgot"
    assert first.card.refused is None
    assert "P(safe) < 0.4000" in (first.path / "README.md").read_text()
    config = json.loads((first.path / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["revision"]) == ("tiny", "r")
    with pytest.raises(AdapterError, match=r"no adapter 'other'. Installed: mine@v0001, mine@v0002"):
        store.find("other")


def test_other_folders_are_read_and_their_versions_are_not_taken_again(tiny, tmp_path: Path):
    shipped = AdapterStore(tmp_path / "shipped")
    write_adapter(tmp_path / "made", add_adapter(tiny(), LoraSettings(rank=2), base="tiny", revision="r"), card())
    first = shipped.install(tmp_path / "made")
    store = AdapterStore(tmp_path / "own", shipped.root)
    assert store.find("mine").path == first.path
    second = store.install(tmp_path / "made")
    assert (second.full_name, second.path.parent.parent) == ("mine@v0002", tmp_path / "own")
    newest = store.newest("mine")
    assert newest is not None
    assert newest.path == second.path
    assert [adapter_label(path) for path in (first.path, tmp_path / "made")] == ["mine@v0001", "made"]


def version(store: AdapterStore, number: str, text: str | None = None, name: str = "mine") -> Path:
    """A version's folder as a store holds it, but for the weights; `text` instead of its card."""
    folder = store.root / name / number
    folder.mkdir(parents=True)
    (folder / "card.json").write_text(card(name=name, version=number).model_dump_json() if text is None else text)
    return folder


CUT = '{"name": "mine", "vers'
NEWER = card(version="v0002").model_dump_json()[:-1] + ', "sung_by": "x"}'


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (CUT, r"Invalid JSON: EOF .*Finetune again\."),
        (NEWER, r"sung_by is unknown here\. The card may be of a newer Groundling: update it, or finetune again\."),
        ("{}", r"name: Field required\. Finetune again\."),
        (
            card().model_dump_json().replace('"mine"', '"../mine"'),
            r"name: .*got '\.\./mine'\. Correct it, or finetune again\.",
        ),
    ],
)
def test_no_older_version_takes_the_place_of_one_whose_card_cannot_be_read(tmp_path: Path, text: str, fault: str):
    store = AdapterStore(tmp_path)
    first = version(store, "v0001")
    damaged = version(store, "v0002", text)
    for ask in (store.find, store.newest):
        with pytest.raises(
            AdapterError,
            match=rf"mine/v0002/card\.json: {fault} Or repair or delete the folder of mine@v0002, or name an older "
            r"version: mine@v0001\.$",
        ):
            ask("mine")
    with pytest.raises(AdapterError, match=rf"mine/v0002/card\.json: {fault}"):
        store.find("mine@v0002")
    assert store.find("mine@v0001").path == first
    assert [one.full_name for one in store.list()] == ["mine@v0001"]
    assert [(one.full_name, one.path) for one in store.all()] == [("mine@v0001", first), ("mine@v0002", damaged)]
    newest = version(store, "v0003")
    assert store.find("mine").path == newest, "what is older than what is given harms nobody"
    assert store.next_version("mine") == "v0004"


def test_a_version_without_its_card_or_that_may_not_be_read_is_told_too(tmp_path: Path, monkeypatch):
    store = AdapterStore(tmp_path)
    version(store, "v0001")
    (version(store, "v0002") / "card.json").unlink()
    with pytest.raises(AdapterError, match=r"mine/v0002 holds no card\.json.* or name an older version: mine@v0001"):
        store.find("mine")
    only = version(store, "v0001", CUT, name="alone")
    with pytest.raises(AdapterError, match=r"Or repair or delete the folder of alone@v0001\.$"):
        store.find("alone")

    def forbidden(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", forbidden)
    with pytest.raises(AdapterError, match=r"v0001/card\.json cannot be read: Permission denied\. Make it readable"):
        read_card(only)


def test_of_one_version_in_two_folders_the_own_one_counts_also_where_it_cannot_be_read(tmp_path: Path):
    shipped = AdapterStore(tmp_path / "shipped")
    version(shipped, "v0001")
    version(shipped, "v0002")
    store = AdapterStore(tmp_path / "own", shipped.root)
    version(store, "v0002", CUT)
    with pytest.raises(AdapterError, match=r"own/mine/v0002/card\.json.* or name an older version: mine@v0001\.$"):
        store.find("mine@v0002")
    assert shipped.find("mine").full_name == "mine@v0002"


def test_a_version_that_is_being_written_is_not_seen(tiny, tmp_path: Path):
    store = AdapterStore(tmp_path)
    version(store, "v0001")
    seen: list[list[str]] = []

    def look(part: Path) -> None:
        assert (part / "card.json").is_file()
        (part / "card.json").write_text(CUT)
        seen.append([one.full_name for one in store.all()])
        assert store.find("mine").full_name == "mine@v0001"

    adapted = add_adapter(tiny(), LoraSettings(rank=2), base="tiny", revision="r")
    write_adapter(tmp_path / "mine" / "v0002", adapted, card(version="v0002"), before=look)
    assert seen == [["mine@v0001"]]


def test_versions_are_counted_not_spelled(tmp_path: Path):
    store = AdapterStore(tmp_path)
    newest = version(store, "v10000")
    version(store, "v9999")
    assert store.find("mine").path == newest


def test_a_card_can_be_called_what_a_configuration_can(tmp_path: Path):
    assert Config.model_json_schema()["properties"]["name"]["pattern"] == NAME
    for changes in ({"name": "../../../escaped"}, {"name": ""}, {"name": "a/b"}, {"version": "../v0001"}):
        with pytest.raises(ValueError, match="String should match pattern"):
            card(**changes)


def test_a_folder_without_card_or_weights_is_refused(tmp_path: Path):
    with pytest.raises(AdapterError, match=r"holds no card\.json"):
        read_card(tmp_path)
    (tmp_path / "card.json").write_text(card().model_dump_json())
    with pytest.raises(AdapterError, match=r"holds no adapter_config\.json\. Name a whole adapter folder"):
        AdapterStore(tmp_path / "store").install(tmp_path)


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch):
    path = tmp_path / "f.txt"
    write_whole(path, "old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(FinetuneError, match="disk is full"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_perplexity_of_a_uniform_model_is_its_vocabulary(tiny):
    model = tiny()
    torch.nn.init.zeros_(model.get_output_embeddings().weight)
    found = perplexity(model, [[1, 2, 3], [4, 5, 6, 7, 8]])
    assert found.tokens == 6
    assert found.perplexity == pytest.approx(101, rel=1e-4)


def test_a_perplexity_of_nothing_is_refused(tiny):
    for nothing in ([], [[]], [[3], [4]]):
        with pytest.raises(RecordError, match=r"0 tokens to predict.*some hundred paragraphs"):
            perplexity(tiny(), nothing)


def test_eval_retention_measures_nothing_of_a_text_without_two_tokens(tiny, tmp_path: Path, monkeypatch):
    import serve.engines.loading as loading
    from serve.cli.eval_retention import command
    from serve.store import ModelStore

    (tmp_path / "word.txt").write_text("A")
    monkeypatch.setattr(ModelStore, "pull", lambda self, name: SimpleNamespace(name=name, path=tmp_path, revision="r"))
    monkeypatch.setattr(loading, "load_model", lambda *a, **k: tiny())
    monkeypatch.setattr("dialog.finetune.retention.encode_plain", lambda tokenizer, text: [7] * len(text))
    monkeypatch.setattr(loading, "load_tokenizer", lambda *a, **k: None)
    found = CliRunner().invoke(command, ["--data", str(tmp_path / "word.txt"), "--adapter", "none"])
    assert isinstance(found.exception, RecordError)
    assert "0 tokens to predict" in str(found.exception)


def test_perplexity_weighs_tokens_not_stretches(tiny):
    model, stretches = tiny(), [[1, 2, 3, 4, 5, 6], [9, 8]]
    total = 0.0
    for stretch in stretches:
        logits = model(torch.tensor([stretch])).logits[0].log_softmax(-1)
        total -= sum(float(logits[i, stretch[i + 1]].detach()) for i in range(len(stretch) - 1))
    assert perplexity(model, stretches).perplexity == pytest.approx(math.exp(total / 6), rel=1e-5)


def test_the_interval_of_a_perplexity_draws_stretches(tiny):
    assert perplexity(tiny(), [[1, 2, 3, 4, 5]] * 8).interval() is None, "stretches all alike would claim certainty"
    found = perplexity(tiny(), [[i, i + 1, i + 2, 2 * i] for i in range(1, 30)])
    span = found.interval()
    assert span is not None
    assert span.low < found.perplexity < span.high
    assert span.value == pytest.approx(found.perplexity)
    assert sum(tokens for _, tokens in found.stretches) == found.tokens == 87


def test_perplexity_that_does_not_fit_in_memory_is_one_clear_line(tiny, monkeypatch):
    model = tiny()

    def exhausted(**options):
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(model, "forward", exhausted)
    with pytest.raises(FinetuneError, match="out of memory while measuring perplexity"):
        perplexity(model, [[1, 2, 3]])


def test_what_is_measured_on_was_never_learned_from(tmp_path: Path):
    path = tmp_path / "general.txt"
    path.write_text("\n\n".join(f"paragraph {i} " + "word " * 90 for i in range(60)))
    learn, measure = general_text([path])
    assert not set(learn) & set(measure)
    assert sorted(learn + measure) == sorted(read_texts(path))
    with pytest.raises(RecordError, match="cannot be read"):
        read_texts(tmp_path / "missing.txt")


def test_metrics_survive_a_cut_line_and_drop_what_is_after_the_resumed_step(tmp_path: Path):
    log = RunLog(tmp_path)
    for step in range(1, 6):
        log.write(step, loss=1.0 / step, retention_ratio=1.0)
    log.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "lo')
    resumed = RunLog(tmp_path, from_step=3)
    resumed.write(4, loss=9.0)
    resumed.close()
    assert [(row["step"], row["loss"]) for row in read_metrics(tmp_path / "metrics.jsonl")][-2:] == [
        (3, 0.333333),
        (4, 9.0),
    ]
    assert draw_curves(tmp_path / "metrics.jsonl", tmp_path / "curves.png", title="t")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_told_to_take_less_memory_or_to_pass_another_gate_is_the_same_run():
    same, _ = load_config("judge", ["data=d", "train.micro_tokens=64", "train.device=cpu", "evaluated=7"])
    gate, _ = load_config("judge", ["data=d", "retention.enforce=false", "retention.max_ratio=1.5"])
    other, _ = load_config("judge", ["data=d", "train.seed=1"])
    config, _ = load_config("judge", ["data=d"])
    assert run_identity(same) == run_identity(gate) == run_identity(config) != run_identity(other)


def test_what_is_free_decides_no_adapter_and_the_gate_does():
    config, _ = load_config("judge", ["data=d"])
    changed = {"micro_tokens": 64, "gradient_checkpointing": True, "device": "cpu", "save_every": 7, "keep": 9}
    changed |= {"evaluate_every": 3}
    assert changed.keys() == FREE
    free, _ = load_config("judge", ["data=d", *(f"train.{key}={value}" for key, value in changed.items())])
    gate, _ = load_config("judge", ["data=d", "retention.max_ratio=1.5"])
    steps, _ = load_config("judge", ["data=d", "train.steps=3"])
    assert decided_by(free) == decided_by(config)
    assert len({decided_by(one) for one in (config, gate, steps)}) == 3


def test_what_data_files_hold_tells_them_apart_not_when_they_were_written(tmp_path: Path):
    unread = "{weight: 0, sources: [{path: unread.jsonl}]}"
    (tmp_path / "mine.yaml").write_text(MINE.replace("tasks: {", f"tasks: {{unread: {unread}, "))
    config, folder = load_config(str(tmp_path / "mine.yaml"))
    found = [data_digest(config, folder)]  # nothing is there
    for file, content in (("data.jsonl", "a"), ("general.txt", "a"), ("data.jsonl", "b"), ("general.txt", "b")):
        (tmp_path / file).write_text(content)
        found.append(data_digest(config, folder))
    assert len(set(found)) == 5
    os.utime(tmp_path / "data.jsonl", (1, 1))
    (tmp_path / "unread.jsonl").write_text("a task of weight 0 is not read")
    assert data_digest(config, folder) == found[-1]


def test_a_task_with_the_name_of_replays_own_is_refused(tmp_path: Path):
    (tmp_path / "mine.yaml").write_text(MINE.replace("reply:", "replay:"))
    with pytest.raises(FinetuneError, match=r"tasks.*'replay'.*Rename it"):
        load_config(str(tmp_path / "mine.yaml"))


def test_recipes_name_the_shipped_adapters_with_their_versions():
    for name in recipes():
        config, _ = load_config(name, ["data=d"])
        named = [*config.start, *([config.filter.adapter] if config.filter else [])]
        for one in named:
            assert (REPOSITORY / "serve" / "adapters" / one.replace("@", "/") / "card.json").is_file(), one
