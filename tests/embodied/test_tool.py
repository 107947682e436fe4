"""The virtualhome tool: reading requests and plans, mending them, and giving only what works."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from embodied.advice import known_plan
from embodied.archive import Archive
from embodied.errors import ProgramError
from embodied.reading import read_step
from embodied.repair import Rejected, Repaired, repair
from embodied.requests import known_activity, what_is_asked
from embodied.splits import EVAL_ACTIVITIES
from embodied.tool import VirtualHome
from embodied.wording import say_steps
from embodied.world import Action, Scene, Simulator, Step, execute, initial, render_line
from toolset.conformance import check_tool


async def ask(query: str, proposal: Sequence[str] | None = None) -> str:
    """The tool's answer as text, empty where the query is not its."""

    async def propose(request: str, count: int = 1) -> Sequence[Sequence[str]]:
        return [proposal or []] * count

    results = await VirtualHome(propose if proposal is not None else None).run(query)
    assert all(result.source is not None and "VirtualHome" in result.source.title for result in results)
    return "\n".join(result.text for result in results)


async def test_coffee_comes_with_a_plan_that_works() -> None:
    text = await ask("How do I make coffee?")
    assert text.startswith("How to make coffee, step by step:\n1. Walk to the kitchen.")
    assert "Switch on the coffee maker." in text
    assert "At the end the coffee maker is switched on" in text
    assert text.endswith("steps work in the simulated home.")


@pytest.mark.parametrize(
    ("query", "step"),
    [
        ("Could you tell me how to wash my clothes?", "Switch on the washing machine."),
        ("I want to watch TV", "Watch the television."),
        ("What are the steps to set the table?", "on the table."),
        ("go to sleep", "Lie down on the bed."),
        ("Please put the milk in the fridge", "Put the milk in the fridge."),
        ("How do I wash the cup?", "Wash the cup."),
        ("turn on the TV", "Switch on the television."),
        ("How do I open the refrigerator?", "Open the fridge."),
    ],
)
async def test_household_requests_are_answered(query: str, step: str) -> None:
    assert step in await ask(query)


@pytest.mark.parametrize(
    "query",
    [
        "What is the capital of France?",
        "Who invented the television?",
        "How much coffee does Brazil produce?",
        "what is 15% of 80?",
        "How do I open a bank account?",
        "How do I make a bomb?",
        "How do I write a book?",
        "How do I set a table in CSS?",
        "turn on dark mode",
        "book a table for two",
        "translate 'good morning' to Spanish",
        "The cat sat on the mat and I had a coffee while my phone rang.",
        "",
        "   ",
        "?" * 5000,
    ],
)
async def test_what_is_not_about_the_household_is_left_alone(query: str) -> None:
    assert await ask(query) == ""


@pytest.mark.parametrize("activity", sorted(EVAL_ACTIVITIES | {"Watch TV", "Wash dishes by hand", "Drink", "Work"}))
def test_known_activities_have_a_plan_that_runs(activity: str) -> None:
    order = {"Work": "work at home", "Drink": "drink water", "Wash dishes by hand": "wash the dishes"}.get(
        activity, activity
    )
    assert known_activity(order) == activity
    advice = known_plan(order)
    assert advice is not None
    assert execute(Simulator(advice.scene), advice.plan.steps).ok


async def test_a_proposed_plan_is_mended() -> None:
    text = await ask("How do I heat up the milk?", ["Put the milk in the microwave.", "2. Turn on the microwave"])
    steps = [line.split(". ", 1)[1] for line in text.splitlines() if line[:1].isdigit()]
    assert "Grab the milk." in steps
    assert steps.index("Open the microwave.") < steps.index("Put the milk in the microwave.")
    assert steps[-1] == "Switch on the microwave."


async def test_a_proposed_plan_that_cannot_work_is_rejected() -> None:
    assert await ask("How do I heat up the milk?", ["Put the milk in the reactor.", "Turn on the reactor."]) == ""
    assert await ask("How do I heat up the milk?", ["Eat the microwave."]) == ""
    assert await ask("How do I heat up the milk?", []) == ""


def mend(scene: Scene, *steps: tuple[Action, str] | tuple[Action, str, str] | tuple[Action]) -> Repaired | Rejected:
    plan = [Step(action, *[scene.by_name[name][0] for name in names]) for action, *names in steps]
    return repair(Simulator(scene), plan)


def lines(scene: Scene, found: Repaired | Rejected) -> list[str]:
    assert isinstance(found, Repaired), found
    assert execute(Simulator(scene), found.steps).ok
    return [render_line(step, scene).replace("(1.", "(") for step in found.steps]


def test_missing_steps_are_put_in(small_home: Scene) -> None:
    found = mend(small_home, (Action.PUTIN, "cup", "fridge"))
    assert lines(small_home, found) == [
        "[WALK] <cup> (7)",
        "[GRAB] <cup> (7)",
        "[WALK] <fridge> (5)",
        "[OPEN] <fridge> (5)",
        "[PUTIN] <cup> (7) <fridge> (5)",
    ]
    assert isinstance(found, Repaired)
    assert found.changes == ("added walk, grab, walk, open before putin",)


def test_sitting_hands_and_plugs_are_seen_to(small_home: Scene) -> None:
    found = mend(small_home, (Action.SIT, "bed"), (Action.SWITCHON, "lamp"), (Action.WALK, "table"))
    assert [line.split("]")[0][1:] for line in lines(small_home, found)] == [
        "WALK", "SIT", "STANDUP", "WALK", "PLUGIN", "SWITCHON", "WALK",
    ]  # fmt: skip
    full = mend(small_home, (Action.GRAB, "cup"), (Action.GRAB, "knife"), (Action.GRAB, "bread"))
    assert "[DROP] <cup> (7)" in lines(small_home, full)


def test_what_is_on_is_switched_off_before_it_is_opened(small_home: Scene) -> None:
    nodes = [replace(node, states=("CLOSED", "ON")) if node.name == "fridge" else node for node in small_home.nodes]
    home = Scene.build(nodes, initial(small_home).edges())
    opening = ["[WALK] <fridge> (5)", "[SWITCHOFF] <fridge> (5)", "[OPEN] <fridge> (5)"]
    assert lines(home, mend(home, (Action.OPEN, "fridge"))) == opening
    assert lines(home, mend(home, (Action.GRAB, "milk"))) == ["[WALK] <milk> (6)", *opening[1:], "[GRAB] <milk> (6)"]


def test_what_is_already_so_is_left_out_and_what_can_never_be_rejects(small_home: Scene) -> None:
    assert lines(small_home, mend(small_home, (Action.WALK, "fridge"), (Action.CLOSE, "fridge"))) == [
        "[WALK] <fridge> (5)"
    ]
    rejected = mend(small_home, (Action.WALK, "table"), (Action.GRAB, "bed"))
    assert rejected == Rejected("the bed (8) cannot be grabbed", 1)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Walk to the table.", "[WALK] <table> (1.4)"),
        ("3. Go over to the kitchen", "[WALK] <kitchen> (1.1)"),
        ("- take a cup from the table", "[GRAB] <cup> (1.7)"),
        ("Then, pick the cup up", "[GRAB] <cup> (1.7)"),
        ("place the bread onto the bed", "[PUTBACK] <bread> (1.11) <bed> (1.8)"),
        ("turn the lamp on", "[SWITCHON] <lamp> (1.9)"),
        ("stand up", "[STANDUP]"),
        ("[PUTIN] <milk> (1) <fridge> (1)", "[PUTIN] <milk> (1.6) <fridge> (1.5)"),
        ("put the cup back", "[PUTOBJBACK] <cup> (1.7)"),
    ],
)
def test_sentences_are_read(small_home: Scene, text: str, line: str) -> None:
    assert render_line(read_step(text, Simulator(small_home), initial(small_home)), small_home) == line


@pytest.mark.parametrize("text", ["Ponder the table", "Grab the unicorn", "[FLY] <cup> (1)", ""])
def test_unreadable_sentences_are_named(small_home: Scene, text: str) -> None:
    with pytest.raises(ProgramError):
        read_step(text, Simulator(small_home), initial(small_home))


def test_what_is_said_can_be_read_again(archive: Archive) -> None:
    """Every recorded step, said in English and read back in the state it was done in, is the same action."""
    total = same = 0
    for recording in archive.recordings[::20]:
        simulator = Simulator(recording.scene)
        trail = execute(simulator, recording.program.steps, keep_trail=True).trail
        for step, state in zip(recording.program.steps, trail, strict=False):
            sentence = say_steps([step], recording.scene)[0]
            read = read_step(sentence, simulator, state)
            total += 1
            same += read.action == step.action or {read.action, step.action} == {Action.PUTIN, Action.PUTBACK}
    assert same == total > 200


def test_requests_are_told_from_questions() -> None:
    assert what_is_asked("How do I make coffee?") == "make coffee"
    assert what_is_asked("Why is the sky blue?") is None
    assert known_activity("turn off the light") is None


def test_the_tool_passes_the_conformance_suite() -> None:
    check_tool(VirtualHome(), examples=["How do I make coffee?"], foreign=["What is the capital of France?"])


async def test_the_log_does_not_repeat_what_was_asked(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        assert await ask("How do I heat up the milk?", ["Eat the microwave."]) == ""
    assert "no plan: the model's own did not work" in caplog.text
    assert "milk" not in caplog.text
