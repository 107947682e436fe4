"""GET /v1/tools and POST /v1/tools/{name}: the toolset by itself."""

from __future__ import annotations

import asyncio
from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from serve.api.answering import admit
from serve.api.errors import not_found
from serve.api.keys import CallerDep
from serve.api.live import while_connected
from serve.api.schemas import Reply, Text
from serve.api.service import ServiceDep
from toolset.tool import ToolCall

router = APIRouter(tags=["Native"])


class ToolInfo(Reply):
    name: str
    description: str
    needs: list[str]
    timeout: float
    resting: bool = Field(description="It failed repeatedly and is left alone for a while.")


class ToolList(Reply):
    object: Literal["list"] = "list"
    data: list[ToolInfo]


class ToolQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    query: Text = Field(min_length=1, max_length=4_000)


@router.get("/v1/tools")
async def list_tools(caller: CallerDep, service: ServiceDep) -> ToolList:
    """The tools of the agent, in the order in which their results are taken."""
    toolset = service.slot.agent().toolset
    return ToolList(
        data=[
            ToolInfo(
                name=name,
                description=" ".join(tool.description.split()),
                needs=sorted(tool.needs),
                timeout=tool.timeout,
                resting=name in toolset.resting,
            )
            for name, tool in zip(toolset.names, toolset.tools, strict=True)
        ]
    )


@router.post("/v1/tools/{name}")
async def run_tool(
    name: str, body: ToolQuery, request: Request, response: Response, caller: CallerDep, service: ServiceDep
) -> ToolCall:
    """Ask one tool. A tool that fails is a 200 whose `error` says how, as in a turn's trace."""
    toolset = service.slot.agent().toolset
    if name not in toolset.names:
        raise not_found("tool", name[:60])
    response.headers.update(await admit(service, caller))

    async def work() -> ToolCall:
        deadline = asyncio.timeout(service.settings.deadline_seconds)
        async with service.drain.bound(), deadline, service.admission.slot():
            [call] = (await toolset.arun(body.query, only=[name])).calls
            return call

    return await while_connected(request, work())
