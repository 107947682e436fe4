"""Planning: goals as differences between states, and Monte Carlo tree search for plans that reach them."""

from embodied.plan.goal import Fact, Goal, goal_between, goal_from_text
from embodied.plan.mcts import Found, SearchSettings, search

__all__ = ["Fact", "Found", "Goal", "SearchSettings", "goal_between", "goal_from_text", "search"]
