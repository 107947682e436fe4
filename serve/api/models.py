"""GET /v1/models: the agent, and the agent in each role, as models that a client can pick."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter

from serve.api.keys import CallerDep
from serve.api.schemas import Reply
from serve.api.service import MODEL, Service, ServiceDep

router = APIRouter(tags=["OpenAI"])
native = APIRouter(tags=["Native"])


class Model(Reply):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "groundling"


class ModelList(Reply):
    object: Literal["list"] = "list"
    data: list[Model]


def _model(name: str) -> Model:
    return Model(id=name, created=1_700_000_000)  # OpenAI's shape wants a time; a role has none


def _names(service: Service) -> list[str]:
    names = [MODEL, *(f"{MODEL}:{role}" for role in service.roles)]
    if service.slot.loaded:
        names.append(service.slot.agent().decoder.info.model)
    return names


@router.get("/v1/models")
async def list_models(caller: CallerDep, service: ServiceDep) -> ModelList:
    """The models that a request may name."""
    return ModelList(data=[_model(name) for name in _names(service)])


@router.get("/v1/models/{model:path}")
async def read_model(model: str, caller: CallerDep, service: ServiceDep) -> Model:
    """One model."""
    service.model_role(model)
    return _model(model)


class RoleInfo(Reply):
    name: str
    persona: str
    opening: list[str]
    tools: list[str] | None


class RoleList(Reply):
    default: str
    data: list[RoleInfo]


@native.get("/v1/roles")
async def list_roles(caller: CallerDep, service: ServiceDep) -> RoleList:
    """The roles that a turn may take, by name."""
    roles = [
        RoleInfo(
            name=name, persona=role.persona, opening=list(role.opening),
            tools=None if role.tools is None else list(role.tools),
        )
        for name, role in service.roles.items()
    ]  # fmt: skip
    return RoleList(default=service.own_role.name, data=roles)
