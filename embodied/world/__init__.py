"""The world: scenes, states, actions and programs. Start at `simulator.Simulator`."""

from embodied.world.program import Outcome, Program, execute, parse_program, render_line
from embodied.world.scene import Node, Scene
from embodied.world.simulator import Failure, Simulator, Step
from embodied.world.state import Origin, State, initial, where
from embodied.world.vocabulary import Action

__all__ = [
    "Action",
    "Failure",
    "Node",
    "Origin",
    "Outcome",
    "Program",
    "Scene",
    "Simulator",
    "State",
    "Step",
    "execute",
    "initial",
    "parse_program",
    "render_line",
    "where",
]
