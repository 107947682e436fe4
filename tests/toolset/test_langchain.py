"""LangChain's tools and retrievers as ours, ours as LangChain's, and LangChain's own suites on the latter."""

from __future__ import annotations

import time
from typing import Any

import pytest
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.messages import ToolMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import BaseTool, StructuredTool, ToolException, create_retriever_tool
from langchain_core.tools import tool as langchain_tool
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_tests.integration_tests import ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests

from toolset import Result, Source, Tool, ToolCall, ToolConfigError, Toolset, tool
from toolset.calculator import Calculator
from toolset.langchain import as_langchain, as_tool
from toolset.plugins import load_object


async def ask(made: Tool, query: str = "q") -> ToolCall:
    async with Toolset([made]) as toolset:
        return (await toolset.arun(query)).calls[0]


class Passages(BaseRetriever):
    """Two passages, with metadata as loaders and stores write it."""

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return [
            Document(
                page_content=f"{query} is a town.",
                metadata={"title": "Towns", "source": "https://example.org/towns", "score": 0.9},
                id="7",
            ),
            Document(page_content="From a file.", metadata={"source": "notes.txt"}),
        ]


PASSAGES = (
    Result(text="Ely is a town.", source=Source(title="Towns", url="https://example.org/towns", id="7", score=0.9)),
    Result(text="From a file.", source=Source(title="notes.txt")),
)


async def test_a_retriever_is_a_tool_with_sources():
    made = as_tool(Passages())
    assert (made.name, made.open_domain) == ("passages", True)
    assert (await ask(made, "Ely")).results == PASSAGES


async def test_a_retriever_tool_brings_its_documents_as_artifact():
    inner = create_retriever_tool(Passages(), "Find Passages!", "Finds.", response_format="content_and_artifact")
    made = as_tool(inner)
    assert (made.name, made.description) == ("find_passages", "Finds.")
    assert (await ask(made, "Ely")).results == PASSAGES


class Letters(Embeddings):
    """How often each letter occurs: alike are texts of the same letters."""

    def embed_query(self, text: str) -> list[float]:
        return [float(text.lower().count(letter)) for letter in "abcdefghijklmnopqrstuvwxyz"]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]


@pytest.fixture
def store() -> InMemoryVectorStore:
    made = InMemoryVectorStore(Letters())
    towns = {"Ely": "Ely lies on the Ouse.", "Ypres": "Ypres lies on the Ieperlee.", "Oslo": "Oslo lies on a fjord."}
    made.add_documents([Document(page_content=text, metadata={"title": town}, id=town) for town, text in towns.items()])
    return made


async def test_a_vector_store_is_a_tool_with_sources(store: InMemoryVectorStore):
    made = as_tool(store)
    assert (made.name, made.open_domain) == ("in_memory_vector_store", True)
    found = (await ask(made, "Oslo lies on a fjord")).results
    assert found[0] == Result(text="Oslo lies on a fjord.", source=Source(title="Oslo", id="Oslo"))
    assert len(found) == 3
    assert len((await ask(as_tool(store, name="towns", fixed={"k": 1}), "Ely")).results) == 1


async def test_an_entry_point_may_name_a_vector_store(store: InMemoryVectorStore):
    (made,) = load_object(store, {"name": "towns", "fixed": {"k": 2}})
    assert (made.name, len((await ask(made, "Ypres")).results)) == ("towns", 2)
    assert [made.name for made in load_object(lambda: store, {})] == ["in_memory_vector_store"]


@langchain_tool
def reverse(text: str) -> str:
    """Reverses a text."""
    return text[::-1]


@langchain_tool
async def areverse(text: str) -> str:
    """Reverses a text, later."""
    return text[::-1]


@langchain_tool(response_format="content_and_artifact")
def search(query: str, limit: int = 3) -> tuple[str, dict[str, Any]]:
    """Searches, as a search service answers."""
    found = [{"title": f"{query} {n}", "url": f"https://example.org/{n}", "content": f"text {n}"} for n in range(limit)]
    return "see artifact", {"query": query, "results": found}


class OnlyAsync(BaseTool):
    name: str = "onlyAsync"
    description: str = "Has no sync form."

    def _run(self, text: str) -> str:
        raise NotImplementedError

    async def _arun(self, text: str) -> str:
        return f"async {text}"


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        (reverse, (Result(text="q"),)),
        (areverse, (Result(text="q"),)),
        (OnlyAsync(), (Result(text="async q"),)),
        (
            search,
            tuple(
                Result(text=f"text {n}", source=Source(title=f"q {n}", url=f"https://example.org/{n}"))
                for n in range(3)
            ),
        ),
        (StructuredTool.from_function(lambda x: [], name="none", description="Nothing."), ()),
    ],
    ids=["sync", "async", "async class", "artifact", "list"],
)
async def test_langchain_tools_are_tools(inner: BaseTool, expected: tuple[Result, ...]):
    call = await ask(as_tool(inner))
    assert (call.error, call.results) == (None, expected)


def failing(handle: bool | str) -> BaseTool:
    def run(text: str) -> str:
        raise ToolException("the service says no")

    return StructuredTool.from_function(run, name="failing", description="Fails.", handle_tool_error=handle)


@pytest.mark.parametrize(
    ("handle", "error"),
    [
        (False, "ToolException: the service says no"),  # LangChain's default: it is raised
        (True, "LangChainToolError: the service says no"),
        ("try later", "LangChainToolError: try later"),
    ],
)
async def test_a_tool_exception_is_a_recorded_error_however_it_is_handled(handle: bool | str, error: str):
    call = await ask(as_tool(failing(handle)))
    assert (call.results, call.error) == ((), error)


async def test_a_hanging_langchain_tool_costs_its_time_budget():
    inner = StructuredTool.from_function(lambda x: time.sleep(1), name="slow", description="Slow.")
    call = await ask(as_tool(inner, timeout=0.1))
    assert call.error == "no answer within 0.1 s"


async def test_the_parameter_that_takes_the_query():
    def convert(text: str, to: str, style: str = "plain") -> str:
        """Converts."""
        return f"{text} to {to}, {style}"

    inner = langchain_tool(convert)
    with pytest.raises(ToolConfigError, match=r"'convert' takes text, to, style\. Name the one that takes the query"):
        as_tool(inner)
    assert (await ask(as_tool(inner, argument="text", fixed={"to": "ps"}))).results[0].text == "q to ps, plain"
    assert (await ask(as_tool(search, fixed={"limit": 1}))).results == (
        Result(text="text 0", source=Source(title="q 0", url="https://example.org/0")),
    )


async def test_what_is_fixed_reaches_a_retriever_or_is_refused(store: InMemoryVectorStore):
    assert len((await ask(as_tool(store.as_retriever(), fixed={"k": 1}))).results) == 1
    with pytest.raises(ToolConfigError, match=r"Passages takes no 'k'\. Remove it from `fixed`"):
        as_tool(Passages(), fixed={"k": 1})
    for inner in (Passages(), store):
        with pytest.raises(ToolConfigError, match="takes the query alone, got argument='q'"):
            as_tool(inner, argument="q")


async def test_content_without_an_artifact_is_a_result():
    @langchain_tool(response_format="content_and_artifact")
    def people(city: str) -> tuple[str, list[Any]]:
        """Says how many people live in a city."""
        return f"{city} has 2.1 million people", []

    assert (await ask(as_tool(people), "Paris")).results == (Result(text="Paris has 2.1 million people"),)


def test_an_entry_point_may_name_a_langchain_object():
    assert [made.name for made in load_object([reverse, Passages()], {})] == ["reverse", "passages"]
    assert [made.name for made in load_object(lambda: reverse, {})] == ["reverse"]
    assert load_object(search, {"name": "web", "timeout": 2.0})[0].timeout == 2.0


@tool(timeout=0.2)
def sourced(query: str) -> Result | None:
    """Answers "source", fails on "fail", hangs on "hang"."""
    if query == "fail":
        raise ValueError("bad query")
    if query == "hang":
        time.sleep(1)
    return Result(text="a fact", source=Source(title="T", url="https://example.org/")) if query == "source" else None


async def test_our_tools_are_langchain_tools():
    (exported,) = as_langchain(sourced)

    async def both(query: str) -> ToolMessage:
        call = {"name": "sourced", "args": {"query": query}, "id": "1", "type": "tool_call"}
        message, later = exported.invoke(call), await exported.ainvoke(call)
        assert message == later
        return message

    found = await both("source")
    assert (found.content, found.status) == ("a fact", "success")
    assert found.artifact == [
        {"text": "a fact", "source": {"title": "T", "url": "https://example.org/", "id": None, "score": None}}
    ]
    nothing = await both("other")
    assert (nothing.content, nothing.artifact) == ("sourced has no answer to this query.", [])
    failed = await both("fail")
    assert (failed.content, failed.status) == ("sourced: ValueError: bad query", "error")
    assert exported.invoke("source") == "a fact"


async def test_there_and_back_keeps_sources():
    (exported,) = as_langchain(sourced)
    call = await ask(as_tool(exported), "source")
    assert call.results == (Result(text="a fact", source=Source(title="T", url="https://example.org/")),)
    assert (await ask(as_tool(exported), "other")).results == ()
    assert (await ask(as_tool(exported), "fail")).error == "LangChainToolError: sourced: ValueError: bad query"


class TestExportedUnit(ToolsUnitTests):
    """LangChain's standard suite."""

    @property
    def tool_constructor(self) -> BaseTool:
        return as_langchain(Calculator())[0]

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"query": "15% of 80"}


class TestExportedIntegration(ToolsIntegrationTests):
    """LangChain's standard suite."""

    @property
    def tool_constructor(self) -> BaseTool:
        return as_langchain(Calculator())[0]

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"query": "15% of 80"}


class TestRoundTripUnit(ToolsUnitTests):
    """A LangChain tool that went through a toolset of ours."""

    @property
    def tool_constructor(self) -> BaseTool:
        return as_langchain(Toolset([as_tool(reverse)]))[0]

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"query": "abc"}
