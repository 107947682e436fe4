"""What every endpoint works with, and how a request's words for models, roles and tools become ours."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Annotated, Any, cast

from fastapi import Depends, Request

from dialog.errors import RoleError
from dialog.roles import Role, load_role, shipped_roles
from serve.api.admission import Admission
from serve.api.drain import Drain
from serve.api.errors import ApiError
from serve.api.limits import Limits
from serve.api.loading import AgentSlot
from serve.api.metrics import Metrics
from serve.api.runner import Runner
from serve.api.schemas import CallerTool, unsupported
from serve.api.storage import Store
from serve.api.telemetry import Tracer
from serve.settings import Settings

MODEL = "groundling"
"""The agent as a model's name; `groundling:ROLE` is the agent in a role."""


@dataclass
class Service:
    """One application's parts."""

    settings: Settings
    slot: AgentSlot
    store: Store
    admission: Admission
    limits: Limits
    metrics: Metrics
    tracer: Tracer
    runner: Runner
    roles: dict[str, Role]
    """Every role that may be asked for, by its name."""
    own_role: Role
    """The role where a request names none."""
    drain: Drain
    migrated: bool = False
    """The database's tables are up to date."""

    def role(self, name: str | None) -> Role:
        """A role by its name; the service's own for None. Only roles known at start: a name is never a path."""
        if name is None:
            return self.own_role
        found = self.roles.get(name)
        if found is None:
            raise ApiError(
                400, f"unknown role {name!r}. Use one of {', '.join(self.roles)}.", param="role", code="unknown_role"
            )
        return found

    def model_role(self, model: str, default: str | None = None) -> Role:
        """The role that a model's name asks for; `default` where it asks for none. Raises ApiError 404 for a model that
        is not served."""
        name, _, role = model.partition(":")
        if name == MODEL and (not role or role in self.roles):
            return self.role(role or default)
        if self.slot.loaded and model == self.slot.agent().decoder.info.model:
            return self.role(default)
        raise ApiError(
            404,
            f"the model {model[:200]!r} is not served here. GET /v1/models lists what is.",
            param="model",
            code="model_not_found",
        )

    def choose_tools(
        self, tools: list[CallerTool] | None, choice: Any
    ) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
        """Which of our tools a turn may use, and what to tell the caller about theirs. Raises ApiError."""
        if choice not in (None, "auto", "none"):
            raise unsupported(
                "tool_choice", choice, "Use 'auto' or 'none': this agent never calls a tool of the caller's."
            )
        if choice == "none":
            return (), ()
        names = [(tool.function.name if tool.function else tool.name) or tool.type for tool in tools or []]
        if not names:
            return None, ()
        ours = self.slot.agent().toolset.names
        foreign = [name[:40] for name in names if name not in ours]
        notes = (f"Tools that this agent does not have were not called: {', '.join(foreign[:10])}.",) if foreign else ()
        mine = tuple(name for name in names if name in ours)
        return (mine or None), notes

    def fingerprint(self) -> str:
        """Changes where the weights do."""
        info = self.slot.agent().decoder.info
        return "fp_" + hashlib.sha256(f"{info.model} {info.revision} {info.adapter}".encode()).hexdigest()[:10]


def known_roles(own: str) -> tuple[dict[str, Role], Role]:
    """All roles by name, and the one that the settings name. Raises RoleError.

    The operator may name a file; its role goes by the name in it, which clients see, and wins over a shipped one.
    """
    shipped, found = [load_role(name) for name in shipped_roles()], load_role(own)
    return {role.name: role for role in (*shipped, found)}, found


async def get_service(request: Request) -> Service:
    # async: FastAPI runs a plain function in a thread
    return cast(Service, request.app.state.service)


ServiceDep = Annotated[Service, Depends(get_service)]

__all__ = ["MODEL", "RoleError", "Service", "ServiceDep", "get_service", "known_roles"]
