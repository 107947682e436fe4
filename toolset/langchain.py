"""LangChain both ways: its tools, retrievers and vector stores as ours, ours as its tools.

    from toolset.langchain import as_langchain, as_tool

    Toolset([as_tool(some_base_tool), as_tool(some_retriever, name="papers"), as_tool(some_vector_store)])
    llm.bind_tools(as_langchain(toolset))

A plugin's entry point may also name a `BaseTool`, `BaseRetriever` or `VectorStore` itself. Sources travel both ways
in the artifact of `content_and_artifact`. Boundary: needs langchain-core alone; the agent as a chat model is the
dialog's.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from langchain_core.documents import Document
from langchain_core.messages import ToolCall as LangChainCall
from langchain_core.messages import ToolMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import BaseTool, ToolException
from langchain_core.tools.base import ArgsSchema
from langchain_core.vectorstores import VectorStore
from pydantic import BaseModel, Field, PrivateAttr

from toolset.arguments import only_argument
from toolset.errors import ToolConfigError, ToolsetError
from toolset.names import tool_name
from toolset.tool import FunctionTool, Need, Result, Source, Tool
from toolset.toolset import Toolset, ToolsetAnswer

MAX_DOCUMENTS = 10
"""Documents of one retriever call that become evidence."""


NO_ANSWER = "has no answer to this query."
"""What an exported tool that found nothing says, behind its name."""


class LangChainToolError(ToolsetError):
    """A LangChain tool reported an error as its output."""


def as_tool(
    inner: BaseTool | BaseRetriever | VectorStore,
    *,
    name: str | None = None,
    description: str | None = None,
    argument: str | None = None,
    fixed: Mapping[str, Any] | None = None,
    timeout: float = 10.0,
    needs: frozenset[Need] = frozenset(),
    open_domain: bool | None = None,
) -> Tool:
    """A LangChain tool, retriever or vector store as a tool of ours.

    `argument` is the parameter that takes the query, by default the only one that it fits (`arguments`); `fixed` holds
    further arguments, for a retriever or vector store those of its search (`k`, `filter`). A retriever or store answers
    any query by similarity, so it is `open_domain` unless told otherwise.

    Raises ToolConfigError where the query's parameter is neither plain nor named, and for arguments that the retriever
    or store does not take.
    """
    kind = type(inner).__name__
    name = name or tool_name(getattr(inner, "name", None) or kind)
    if argument is not None and not isinstance(inner, BaseTool):
        raise ToolConfigError(f"{kind} takes the query alone, got argument={argument!r}. Remove it.")
    if isinstance(inner, VectorStore):
        inner, fixed = inner.as_retriever(search_kwargs=dict(fixed or {})), None
    if isinstance(inner, BaseRetriever):
        _check_fixed(inner, fixed or {})
        description = description or f"Finds passages with {kind}."
        options = {"timeout": timeout, "needs": needs, "open_domain": open_domain is not False}
        return FunctionTool(
            _retriever_function(inner, dict(fixed or {})), name=name, description=description, **options
        )
    argument = argument or _only_argument(inner, fixed or {})
    description = description or inner.description or f"The LangChain tool {inner.name}."
    options = {"timeout": timeout, "needs": needs, "open_domain": bool(open_domain)}
    function = _tool_function(inner, argument, dict(fixed or {}))
    return FunctionTool(function, name=name, description=description, **options)


def as_langchain(tools: Toolset | Tool) -> list[BaseTool]:
    """Our tools for a LangChain agent, each with its time and output budget, and rested where it fails repeatedly.

    The content of a call is the results' text; its artifact is the list of results as dictionaries. A failure is a
    ToolException, which is handled: the model sees a message with the status `error`.
    """
    toolset = tools if isinstance(tools, Toolset) else Toolset([tools])
    return [ExportedTool.of(toolset, tool) for tool in toolset.tools]


class Query(BaseModel):
    """The input of every tool of ours."""

    query: str = Field(description="The question, as a person would write it.")


class ExportedTool(BaseTool):
    """One tool of a toolset as a LangChain tool; made by `as_langchain`."""

    args_schema: ArgsSchema | None = Query
    response_format: Literal["content", "content_and_artifact"] = "content_and_artifact"
    handle_tool_error: Any = True
    _toolset: Toolset = PrivateAttr()

    @classmethod
    def of(cls, toolset: Toolset, tool: Tool) -> ExportedTool:
        """`tool`, which is one of `toolset`."""
        exported = cls(name=tool.name, description=" ".join(tool.description.split()))
        exported._toolset = toolset
        return exported

    def _run(self, query: str, **_: Any) -> tuple[str, list[dict[str, Any]]]:
        return self._output(self._toolset.run(query, only=[self.name]))

    async def _arun(self, query: str, **_: Any) -> tuple[str, list[dict[str, Any]]]:
        return self._output(await self._toolset.arun(query, only=[self.name]))

    def _output(self, answer: ToolsetAnswer) -> tuple[str, list[dict[str, Any]]]:
        error = answer.calls[0].error
        if error:
            raise ToolException(f"{self.name}: {error}")
        content = "\n\n".join(result.text for result in answer.results)
        return content or f"{self.name} {NO_ANSWER}", [result.model_dump() for result in answer.results]


def _tool_function(inner: BaseTool, argument: str, fixed: dict[str, Any]):
    def call(query: str) -> LangChainCall:
        # A call with an id is answered by a message, which carries artifact and status; bare arguments are not.
        return LangChainCall(name=inner.name, args={**fixed, argument: query}, id="groundling", type="tool_call")

    async def later(query: str) -> list[Result]:
        return _results_of_message(await inner.ainvoke(call(query)))

    def run(query: str) -> Any:
        # Sync first, on a thread of ours: LangChain runs a sync tool's `ainvoke` on threads that hold up the exit.
        try:
            return _results_of_message(inner.invoke(call(query)))
        except NotImplementedError:
            return later(query)

    return run


def _check_fixed(inner: BaseRetriever, fixed: Mapping[str, Any]) -> None:
    """Raise ToolConfigError for an argument that the retriever would silently not be given."""
    taken = inspect.signature(inner._get_relevant_documents).parameters
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values()):
        unknown = sorted(set(fixed) - set(taken) | set(fixed) & {"query", "run_manager"})
        if unknown:
            raise ToolConfigError(f"{type(inner).__name__} takes no {unknown[0]!r}. Remove it from `fixed`.")


def _retriever_function(inner: BaseRetriever, fixed: dict[str, Any]):
    async def later(query: str) -> list[Result]:
        return _results_of(await inner.ainvoke(query, **fixed))

    def run(query: str) -> Any:
        try:
            return _results_of(inner.invoke(query, **fixed))
        except NotImplementedError:
            return later(query)

    return run


def _only_argument(inner: BaseTool, given: Mapping[str, Any]) -> str:
    """The parameter that a query fits. Raises ToolConfigError where that is not plain."""
    schema: Any = inner.tool_call_schema
    if not isinstance(schema, dict):
        schema = schema.model_json_schema() if issubclass(schema, BaseModel) else schema.schema()
    properties = inner.args  # a plain `Tool` has its one parameter here alone
    required = [name for name in schema.get("required", []) if name in properties]
    argument = only_argument({**schema, "properties": properties, "required": required}, given)
    if argument is None:
        raise ToolConfigError(
            f"the LangChain tool {inner.name!r} takes {', '.join(properties) or 'no arguments'}. "
            "Name the one that takes the query with `argument`, and give the others in `fixed`."
        )
    return argument


def _results_of_message(message: Any) -> list[Result]:
    """Results in a tool's message: its artifact where that holds texts with sources, otherwise its content."""
    if not isinstance(message, ToolMessage):  # a tool may return what it likes to a caller of `_run`
        return _results_of(message) or [Result(text=str(message))]
    if message.status == "error":
        raise LangChainToolError(message.text or "the tool reported an error without a message")
    if message.artifact == [] and message.text.endswith(NO_ANSWER):
        return []  # a tool of ours that comes back; another's content may be all that it has to say
    return _results_of(message.artifact) or ([Result(text=message.text)] if message.text else [])


def _results_of(found: Any) -> list[Result]:
    """Results in documents, mappings with a text, or lists of these; nothing for what is none of them."""
    if isinstance(found, Document):
        return [_result(found.page_content, {**found.metadata, "id": found.id or found.metadata.get("id")})]
    if isinstance(found, Result):
        return [found]
    if isinstance(found, Mapping):
        if isinstance(found.get("results"), Sequence) and not isinstance(found["results"], str):
            return _results_of(list(found["results"]))
        text = _first(found, "text", "content", "page_content", "snippet")
        source = found.get("source")
        return [_result(text, source if isinstance(source, Mapping) else found)] if text else []
    if isinstance(found, Sequence) and not isinstance(found, str | bytes):
        return [result for item in found[:MAX_DOCUMENTS] for result in _results_of(item)]
    return []


def _result(text: str, about: Mapping[str, Any]) -> Result:
    """A result with the source that metadata names, under the keys that loaders and search tools use."""
    place = _first(about, "url", "link", "source")
    url = place if place and place.startswith(("http://", "https://", "file://")) else None
    title = _first(about, "title", "name") or place
    identity = _first(about, "id")
    if not title and not identity:
        return Result(text=text)
    score = next((about[key] for key in ("score", "relevance_score") if isinstance(about.get(key), int | float)), None)
    return Result(text=text, source=Source(title=title or identity or "", url=url, id=identity, score=score))


def _first(values: Mapping[str, Any], *keys: str) -> str | None:
    return next(
        (str(values[key]) for key in keys if isinstance(values.get(key), str | int) and values[key] != ""), None
    )
