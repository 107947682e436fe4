"""`groundling index` and `groundling eval retrieval`, as a person or a script uses them."""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from serve.cli.eval_retrieval import command
from serve.cli.index import index
from toolset.retrieval import Corpus, Embedder, Retrieval


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, embedder: Embedder) -> Path:
    """A home of its own for corpora; the embedding model is the one already fetched."""
    monkeypatch.setenv("GROUNDLING_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(importlib.import_module("serve.tools"), "embedder", lambda: embedder)
    return tmp_path / "home"


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "heating.md").write_text("# Heating\nThe boiler in the cellar was replaced in 2019 by Kowalski & Sons.")
    (folder / "garden.txt").write_text("The old apple tree near the gate bears fruit in September.")
    (folder / "image.png").write_bytes(b"\x89PNG")
    return folder


def run(*arguments: str) -> Result:
    return CliRunner().invoke(index, [*arguments, "--json"])


def test_a_folder_becomes_a_corpus_that_answers(home, notes, embedder):
    result = run(str(notes), "--name", "notes", "--attribution", "My notes")
    summary = json.loads(result.stdout)
    assert (summary["documents"], summary["added"], summary["attribution"]) == (2, 2, "My notes")
    assert "1 files of other kinds are not read" in result.stderr
    answers = Retrieval(home / "corpora" / "notes", embedder).run("Who replaced the boiler?")
    assert answers[0].source
    assert (answers[0].source.title, answers[0].source.id) == ("Heating", "heating.md")


def test_indexing_again_does_only_what_changed(home, notes):
    run(str(notes), "--name", "notes")
    (notes / "garden.txt").unlink()
    (notes / "heating.md").write_text("# Heating\nThe boiler was replaced again in 2024.")
    (notes / "roof.txt").write_text("The roof has slates from Wales.")
    summary = json.loads(run(str(notes), "--name", "notes").stdout)
    assert {key: summary[key] for key in ("added", "updated", "unchanged", "deleted", "documents")} == {
        "added": 1, "updated": 1, "unchanged": 0, "deleted": 1, "documents": 2,
    }  # fmt: skip


def test_one_folder_under_two_names_is_indexed_once(home, notes, monkeypatch):
    run(str(notes), "--name", "notes")
    (notes / "garden.txt").unlink()
    monkeypatch.chdir(notes)
    summary = json.loads(run("../notes", "--name", "notes").stdout)
    assert {key: summary[key] for key in ("unchanged", "deleted", "documents", "problems")} == {
        "unchanged": 1, "deleted": 1, "documents": 1, "problems": [],
    }  # fmt: skip


def test_what_cannot_be_read_is_named_and_what_was_indexed_of_it_stays(home, notes):
    run(str(notes), "--name", "notes")
    (notes / "garden.txt").write_bytes(bytes(range(256)))
    result = run(str(notes), "--name", "notes")
    summary = json.loads(result.stdout)
    assert (result.exit_code, summary["documents"], summary["deleted"]) == (0, 2, 0)
    assert len(summary["problems"]) == 1
    assert "garden.txt: is binary" in summary["problems"][0]


def test_records_that_are_gone_from_a_file_are_deleted(home, tmp_path):
    file = tmp_path / "records.jsonl"
    lines = [json.dumps({"text": f"The {thing} stands in the hall."}) for thing in ("clock", "lamp", "piano")]
    file.write_text("\n".join(lines))
    assert json.loads(run(str(file), "--name", "hall").stdout)["documents"] == 3
    file.write_text("\n".join([*lines[:2], "{broken"]))
    assert json.loads(run(str(file), "--name", "hall").stdout)["deleted"] == 0, "what is broken is kept"
    file.write_text("\n".join(lines[:2]))
    summary = json.loads(run(str(file), "--name", "hall").stdout)
    assert (summary["documents"], summary["deleted"]) == (2, 1)


def test_a_file_that_takes_the_place_of_another_is_named(home, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "readme.md").write_text(f"# {folder}\nThe folder {folder} is about boats.")
    assert not json.loads(run(str(tmp_path / "a"), "--name", "both").stdout)["problems"]
    problems = json.loads(run(str(tmp_path / "b"), "--name", "both").stdout)["problems"]
    assert "both are called 'readme.md'" in problems[0]


def test_equal_ids_in_one_run_are_named_with_both_places(home, tmp_path):
    records = tmp_path / "records"
    records.mkdir()
    (records / "a.jsonl").write_text('{"id": 1, "text": "Oak burns slowly."}\n{"id": 1, "text": "Elm burns badly."}')
    (records / "b.jsonl").write_text('{"id": 0, "text": "Ash burns well."}\n{"id": 1, "text": "Yew burns hot."}')
    summary = json.loads(run(str(records), "--name", "wood").stdout)
    assert (summary["documents"], summary["added"], summary["unchanged"]) == (2, 2, 0)
    a, b = records / "a.jsonl", records / "b.jsonl"
    ending = "both have the id '1'. Give each an id of its own."
    assert summary["problems"] == [
        f"{a}, line 2 takes the place of {a}, line 1: {ending}",
        f"{b}, line 2 takes the place of {a}, line 2: {ending}",
    ]


def test_of_many_equal_ids_the_first_ones_are_named(home, tmp_path):
    lines = [json.dumps({"id": n, "text": f"Record {n}."}) for n in range(13)]
    (tmp_path / "twice.jsonl").write_text("\n".join(lines * 2))
    problems = json.loads(run(str(tmp_path / "twice.jsonl"), "--name", "twice").stdout)["problems"]
    assert len(problems) == 11
    assert problems[-1] == "3 more documents took the place of another with the same id."


def test_a_file_name_that_is_not_utf_8_is_indexed_under_an_escaped_name(home, notes):
    (notes / os.fsdecode(b"\xffbad.txt")).write_text("The well behind the house is eleven metres deep.")
    summary = json.loads(run(str(notes), "--name", "notes").stdout)
    assert (summary["documents"], summary["problems"]) == (3, [])
    (notes / os.fsdecode(b"\xffbad.txt")).unlink()
    result = run(str(notes), "--name", "notes")
    assert json.loads(result.stdout)["deleted"] == 1
    assert f"deleted, as {notes} no longer holds them: \\xffbad.txt" in result.stderr


def test_nothing_is_forgotten_below_a_folder_that_cannot_be_listed(home, notes, monkeypatch):
    (notes / "private").mkdir()
    (notes / "private" / "will.txt").write_text("The violin goes to Agnes.")
    assert json.loads(run(str(notes), "--name", "notes").stdout)["documents"] == 3
    list_folder = os.scandir

    def refuse(folder):
        if Path(folder).name == "private":
            raise PermissionError(13, "Permission denied", str(folder))
        return list_folder(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    summary = json.loads(run(str(notes), "--name", "notes").stdout)
    assert (summary["documents"], summary["deleted"]) == (3, 0)
    assert summary["problems"] == [
        f"left out: {notes / 'private'}: cannot be listed: Permission denied. Check its permissions."
    ]


def test_what_was_indexed_by_a_link_that_broke_is_kept(home, notes, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "cellar.txt").write_text("The cellar floods in spring.")
    (notes / "linked").symlink_to(tmp_path / "elsewhere")
    assert json.loads(run(str(notes), "--name", "notes").stdout)["documents"] == 3
    (tmp_path / "elsewhere").rename(tmp_path / "moved")
    summary = json.loads(run(str(notes), "--name", "notes").stdout)
    assert (summary["documents"], summary["deleted"]) == (3, 0)
    assert "linked: a link that leads nowhere" in summary["problems"][0]


def test_an_emptied_folder_takes_its_documents_along(home, notes):
    run(str(notes), "--name", "notes")
    for name in ("heating.md", "garden.txt"):
        (notes / name).unlink()
    kept = run(str(notes), "--name", "notes")
    assert kept.exit_code == 1
    assert "holds no file any more, but the corpus 'notes' holds documents of it, which are kept" in str(kept.exception)
    result = run(str(notes), "--name", "notes", "--emptied")
    summary = json.loads(result.stdout)
    assert (result.exit_code, summary["documents"], summary["deleted"]) == (0, 0, 2)
    assert f"deleted, as {notes} no longer holds them: garden.txt, heating.md" in result.stderr
    again = run(str(notes), "--name", "notes")
    assert again.exit_code == 1
    assert "nothing to index" in str(again.exception)


@pytest.mark.parametrize("name", ["default", "../up", ""])
def test_a_name_that_cannot_be_is_refused(home, notes, name):
    result = run(str(notes), "--name", name)
    assert result.exit_code == 1
    assert repr(name) in str(result.exception)


def test_an_empty_folder_is_said_to_be_one(home, tmp_path):
    (tmp_path / "nothing").mkdir()
    result = run(str(tmp_path / "nothing"), "--name", "nothing")
    assert result.exit_code == 1
    assert "nothing to index" in str(result.exception)
    assert not (home / "corpora" / "nothing").exists()


def test_eval_retrieval_reports_hits_and_abstention(home, tmp_path, articles):
    (tmp_path / "corpus.jsonl").write_text("\n".join(each.model_dump_json() for each in articles))
    questions = [
        {"question": "Who painted the Mona Lisa?", "answers": ["Leonardo da Vinci"], "source_ids": ["Mona Lisa"]},
        {"question": "What is the largest planet?", "answers": ["Jupiter"]},
        {"question": "How old is Rafael Nadal?", "answers": [], "source_ids": []},
    ]
    (tmp_path / "questions.jsonl").write_text("\n".join(map(json.dumps, questions)))
    result = CliRunner().invoke(
        command, ["--corpus", str(tmp_path / "corpus.jsonl"), "--data", str(tmp_path / "questions.jsonl"), "--json"]
    )
    figures = json.loads(result.stdout)
    assert figures.items() >= {
        "n": 3, "hit_at_1": 1.0, "hit_at_5": 1.0, "false_abstention": 0.0, "off_corpus_abstention": 1.0,
    }.items()  # fmt: skip


def test_eval_retrieval_reaches_its_figures_on_xquad(shared_data, embedder, tmp_path):
    """Paragraphs and English questions of XQuAD: hit@1 at least 0.93, hit@5 at least 0.99."""
    from tests.benchmarks.abstention import paragraphs, questions_of
    from toolset.retrieval.evaluate import evaluate

    corpus = Corpus(tmp_path, embedder, create=True)
    corpus.add(paragraphs(shared_data))
    figures = evaluate(corpus, questions_of(shared_data))
    assert figures["hit_at_1"] >= 0.93
    assert figures["hit_at_5"] >= 0.99
    assert figures["false_abstention"] <= 0.05
