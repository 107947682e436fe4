"""The public simulator as an oracle: loaded from the `virtualhome_eval` wheel, in tests and benchmarks only.

Its edge lookups iterate Python sets, whose order is an accident of hashing; `Oracle` sorts them by node id, which is
the one order of "first found" that the world defines. Nothing else of it is changed.
"""

from __future__ import annotations

import importlib
import logging
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

from embodied.world import Scene, State, Step, initial, render_line
from serve.store.wheel import WheelSource

SOURCE = WheelSource(
    distribution="virtualhome_eval",
    version="0.1.1",
    sha256="a4e244f423edfc0da2ec7b7daf48f2fca8af00afe6f2af07b8f1e53d8c79de37",
    members=tuple(f"virtualhome_eval/{part}" for part in ("__init__.py", "simulation/", "resources/", "log_config.py")),
    licence="MIT",
)


class Oracle:
    """The upstream simulator on one scene; `step` changes its state where the action succeeds, `reset` takes it back
    to the start.
    """

    def __init__(self, scene: Scene, unpacked: Path, *, sort: bool = True) -> None:
        self.scene = scene
        self.execution, self.environment, self.scripts = load(unpacked)
        self.state_class: Any = self.environment.EnvironmentState
        if sort:
            self.state_class = sorted_state_class(self.environment)
        self.graph = self.environment.EnvironmentGraph(graph_dict(initial(scene)))
        self.reset()
        self.executor = self.execution.ScriptExecutor(self.graph, {})

    def reset(self) -> None:
        """Back to the scene as it began. A state keeps what changed beside its graph, so a new one is enough."""
        self.state = self.state_class(self.graph, {}, instance_selection=True)

    def parse(self, step: Step) -> Any:
        """A step in the upstream's own form."""
        line = render_line(step, self.scene).replace("(1.", "(")
        return self.scripts.Script([self.scripts.parse_script_line(line, 0)])

    def step(self, step: Step) -> bool:
        """Do one action; False where it cannot be done, or where upstream crashes on an object in no room."""
        return self.run(self.parse(step))

    def run(self, script: Any) -> bool:
        """Do one parsed action."""
        try:
            done, self.state = self.executor.execute_one_step(script, self.state)
        except (AttributeError, AssertionError):
            return False
        finally:
            self.executor.info.messages.clear()
            self.executor.info.missing_preconds.clear()
        return done


def load(unpacked: Path) -> tuple[ModuleType, ModuleType, ModuleType]:
    """The upstream's execution, environment and scripts modules from an unpacked wheel."""
    if str(unpacked) not in sys.path:
        sys.path.append(str(unpacked))
    logging.getLogger("virtualhome_eval").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = "virtualhome_eval.simulation.evolving_graph"
        modules = [importlib.import_module(f"{root}.{name}") for name in ("execution", "environment", "scripts")]
    return modules[0], modules[1], modules[2]


def graph_dict(state: State) -> dict[str, Any]:
    """A state as the dictionary that the upstream's graph reads."""
    return {
        "nodes": [
            {
                "id": node.id,
                "class_name": node.name,
                "category": node.category,
                "properties": list(node.properties),
                "states": list(state.states(i)),
            }
            for i, node in enumerate(state.scene.nodes)
        ],
        "edges": [{"from_id": a, "relation_type": r, "to_id": b} for a, r, b in sorted(state.edges())],
    }


def state_of(oracle: Oracle) -> tuple[dict[int, frozenset[str]], set[tuple[int, str, int]]]:
    """The oracle's node states and edges, in the world's form."""
    found = oracle.state.to_dict()
    states = {node["id"]: frozenset(node["states"]) for node in found["nodes"]}
    return states, {(e["from_id"], e["relation_type"], e["to_id"]) for e in found["edges"]}


def sorted_state_class(environment: Any) -> Any:
    """The upstream's state with its edge lookups in ascending id."""
    cached = getattr(environment, "_sorted_state", None)
    if cached is not None:
        return cached
    base = environment.EnvironmentState

    class SortedState(base):
        def get_nodes_from(self, from_node: Any, relation: Any) -> list[Any]:
            return sorted(super().get_nodes_from(from_node, relation), key=lambda node: node.id)

    # change_state builds its result by the module's name, so the subclass has to stand there
    environment.EnvironmentState = environment._sorted_state = SortedState
    return SortedState
