"""The world's rules, by example, in a small home."""

from __future__ import annotations

from dataclasses import replace

import pytest

from embodied.errors import ProgramError, SceneError
from embodied.world import (
    Action,
    Failure,
    Node,
    Outcome,
    Scene,
    Simulator,
    Step,
    execute,
    initial,
    parse_program,
    render_line,
    where,
)


def run(scene: Scene, text: str, *, as_upstream: bool = False) -> Outcome:
    """Run lines such as `GRAB cup`; objects by name."""
    steps = []
    for line in text.strip().splitlines():
        action, *objects = line.split()
        steps.append(Step(Action[action], *[scene.by_name[name][0] for name in objects]))
    return execute(Simulator(scene, as_upstream=as_upstream), steps)


def reason(scene: Scene, text: str) -> str:
    """Why the last line fails; the lines before it work."""
    outcome = run(scene, text)
    assert outcome.failure is not None
    assert outcome.done == len(text.strip().splitlines()) - 1
    return outcome.failure.reason


def with_fridge(scene: Scene, *states: str) -> Scene:
    """The home with its fridge in other states."""
    nodes = [replace(node, states=states) if node.name == "fridge" else node for node in scene.nodes]
    return Scene.build(nodes, initial(scene).edges(), name=scene.name)


def node(scene: Scene, name: str) -> int:
    return scene.by_name[name][0]


def test_a_walk_ends_old_closeness_both_ways_and_derives_the_new(small_home: Scene) -> None:
    state = run(small_home, "WALK table\nWALK bed").state
    me = small_home.character
    assert state.related(me, "CLOSE") == (node(small_home, "bed"),)
    assert me not in state.related(node(small_home, "table"), "CLOSE")
    assert me in state.related(node(small_home, "bed"), "CLOSE")
    assert state.room(me) == node(small_home, "bedroom")


def test_closeness_reaches_things_on_and_in_a_close_thing(small_home: Scene) -> None:
    simulator = Simulator(small_home)
    at_table, at_fridge = run(small_home, "WALK table").state, run(small_home, "WALK fridge").state
    assert simulator.close(at_table, node(small_home, "bread"))
    assert simulator.close(at_fridge, node(small_home, "milk"))
    assert not simulator.close(at_fridge, node(small_home, "bread"))


def test_the_right_hand_comes_first_and_two_hands_are_all(small_home: Scene) -> None:
    state = run(small_home, "WALK table\nGRAB cup\nGRAB knife").state
    me = small_home.character
    assert state.related(me, "HOLDS_RH") == (node(small_home, "cup"),)
    assert state.related(me, "HOLDS_LH") == (node(small_home, "knife"),)
    assert reason(small_home, "WALK table\nGRAB cup\nGRAB knife\nGRAB bread") == "the character has no free hand"


def test_a_closed_container_keeps_its_contents(small_home: Scene) -> None:
    assert reason(small_home, "WALK fridge\nGRAB milk") == "the milk (6) is inside the fridge (5), which is closed"
    assert run(small_home, "WALK fridge\nOPEN fridge\nGRAB milk").ok
    assert "is closed" in reason(small_home, "WALK table\nGRAB cup\nWALK fridge\nPUTIN cup fridge")


def test_putting_back_remembers_where_a_thing_was(small_home: Scene) -> None:
    state = run(small_home, "WALK fridge\nOPEN fridge\nGRAB milk\nPUTOBJBACK milk").state
    assert where(state, node(small_home, "milk")) == ("INSIDE", node(small_home, "fridge"))
    assert not state.origin


def test_a_held_thing_is_in_its_holders_room(small_home: Scene) -> None:
    walk = "WALK table\nGRAB cup\nWALK bed"
    cup = node(small_home, "cup")
    assert run(small_home, walk).state.room(cup) == node(small_home, "bedroom")
    assert run(small_home, walk, as_upstream=True).state.room(cup) == node(small_home, "kitchen")


def test_putting_back_out_of_reach_fails_and_upstream_calls_it_done(small_home: Scene) -> None:
    far = "WALK table\nGRAB cup\nWALK bed\nPUTOBJBACK cup"
    assert reason(small_home, far) == "the character is not close to the table (4)"
    assert run(small_home, far, as_upstream=True).ok


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("WALK bed\nSIT bed\nWALK table", "the character is sitting and must stand up before walking to the table (4)"),
        ("SIT bed", "the character is not close to the bed (8)"),
        ("WALK table\nSIT table", "the table (4) is nothing to sit on"),
        ("WALK lamp\nSWITCHON lamp", "the lamp (9) is unplugged"),
        ("WALK lamp\nSWITCHOFF lamp", "the lamp (9) is not on"),
        ("STANDUP", "the character is already standing"),
        ("SLEEP", "the character is neither lying nor sitting"),
        ("WALK table\nGRAB table", "the table (4) cannot be grabbed"),
        ("WALK table\nGRAB cup\nGRAB cup", "the cup (7) was grabbed already"),
        ("WALK table\nDRINK cup", "the character is not holding the cup (7)"),
        ("WALK table\nWIPE table", "the character holds nothing to wipe with"),
        ("WALK table\nCUT bread", "the character is not holding a knife"),
        ("WALK table\nLOOKAT table", "the character does not face the table (4)"),
        ("WALK table\nGRAB cup\nPOUR cup table", "the cup (7) cannot be poured"),
        ("GREET bed", "the bed (8) is nobody to greet"),
    ],
)
def test_failures_say_why(small_home: Scene, program: str, expected: str) -> None:
    assert reason(small_home, program) == expected


def test_what_is_on_can_be_opened_later(small_home: Scene) -> None:
    outcome = run(with_fridge(small_home, "CLOSED", "ON"), "WALK fridge\nOPEN fridge")
    assert outcome.failure == Failure("the fridge (5) is still on", "missing")
    outcome = run(with_fridge(small_home, "OPEN", "ON"), "WALK fridge\nOPEN fridge")
    assert outcome.failure == Failure("the fridge (5) is not closed", "satisfied")


def test_every_action_that_changes_nothing_returns_the_state_itself(small_home: Scene) -> None:
    simulator = Simulator(small_home)
    state = run(small_home, "WALK table\nGRAB knife\nTURNTO table").state
    for step in (Step(Action.TOUCH, node(small_home, "cup")), Step(Action.CUT, node(small_home, "bread"))):
        assert simulator.step(state, step) is state


def test_a_step_leaves_the_old_state_as_it_was(small_home: Scene) -> None:
    before = run(small_home, "WALK table").state
    kept = before.copy()
    after = Simulator(small_home).step(before, Step(Action.GRAB, node(small_home, "cup")))
    assert before == kept
    assert after != before
    assert before.key == kept.key


def test_unknown_actions_and_objects_are_failures(small_home: Scene) -> None:
    simulator, state = Simulator(small_home), initial(small_home)
    for step in (Step(Action.GRAB, 99), Step(Action.GRAB), (77, 0, 0)):
        found = simulator.step(state, step)  # type: ignore[arg-type]
        assert isinstance(found, Failure)
        assert found.kind == "unknown"


def test_programs_are_read_and_written(small_home: Scene) -> None:
    text = "Put milk away\nThe milk goes in the fridge.\n\n[WALK] <table> (1.4)\n# note\n"
    text += "[PUTIN] <cup> (1.7) <fridge> (1.5)"
    program = parse_program(text, small_home)
    assert (program.title, program.description) == ("Put milk away", "The milk goes in the fridge.")
    assert [render_line(s, small_home) for s in program.steps] == [
        "[WALK] <table> (1.4)",
        "[PUTIN] <cup> (1.7) <fridge> (1.5)",
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[WALKK] <table> (1.4)", "line 2: unknown action 'WALKK'. Did you mean WALK?"),
        ("[WALK] table", "line 2: malformed program line '[WALK] table'. Write it as [WALK] <bedroom> (1.67)."),
        ("[WALK] <table> (1.99)", "line 2: this home has no object with id 99; 'table' here is 4."),
        ("[WALK] <unicorn> (1.4)", "line 2: object 4 here is a 'table', no 'unicorn'. Write <table> (1.4)."),
        ("[WALK] <fridge> (1.4)", "line 2: object 4 here is a 'table', no 'fridge'. Write <table> (1.4)."),
        ("[WALK]", "line 2: WALK takes 1 objects, got 0 in '[WALK]'."),
        ("[WALK] <table> (x)", "line 2: an object's number is not a node id in '[WALK] <table> (x)'."),
    ],
)
def test_bad_lines_are_named(small_home: Scene, line: str, message: str) -> None:
    with pytest.raises(ProgramError) as caught:
        parse_program(["[WALK] <table> (1.4)", line], small_home)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "line",
    [
        "(WALK) <table> (1.4)",
        "WALK <table> (1.4)",
        "walk<table",
        "<table> (1.4)",
        "(see below)",
        "Walk over to <table> (1.4)",
    ],
)
def test_a_malformed_first_step_is_no_title(small_home: Scene, line: str) -> None:
    with pytest.raises(ProgramError, match="line 1: malformed program line"):
        parse_program(f"{line}\n[WALK] <table> (1.4)", small_home)
    with pytest.raises(ProgramError, match="line 3: malformed program line"):
        parse_program(f"Title\n\n{line}\n[WALK] <table> (1.4)", small_home)


@pytest.mark.parametrize("title", ["Walk to the table", "Keep it (cold)", "Cook for < 5 minutes", "Open"])
def test_a_title_may_be_any_sentence(small_home: Scene, title: str) -> None:
    assert parse_program(f"{title}\n[WALK] <table> (1.4)", small_home).title == title


@pytest.mark.parametrize("name", ["table", "Table", "diningtable", "kitchen_table", "dining table"])
def test_a_thing_may_be_called_by_a_known_equivalent(small_home: Scene, name: str) -> None:
    step = parse_program(f"[WALK] <{name}> (1.4)", small_home).steps[0]
    assert render_line(step, small_home) == "[WALK] <table> (1.4)"


def test_a_scene_is_checked() -> None:
    room, me = Node(1, "kitchen", "Rooms"), Node(2, "character")
    good = [(2, "INSIDE", 1)]
    for nodes, edges, words in [
        ([room, me], [], "in no room"),
        ([room], [], "0 characters"),
        ([room, me, room], good, "repeats"),
        ([room, me], [*good, (1, "CLOSE", 2)], "one way"),
        ([room, me], [*good, (1, "UNDER", 2)], "unknown relation"),
        ([room, me], [*good, (1, "ON", 9)], "node 9"),
        ([room, me, Node(3, "cup", states=("BROKEN",))], good, "BROKEN"),
        ([room, me, Node(3, "cup", properties=("SHINY",))], good, "SHINY"),
    ]:
        with pytest.raises(SceneError, match=words):
            Scene.build(nodes, edges)
