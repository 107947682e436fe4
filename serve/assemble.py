"""An agent from names: model, engine, adapter, corpus, role. What the command and the REST API both start with."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from dialog.agent import Agent, AgentSettings
from dialog.decoder import Decoder, Sampling
from dialog.dialect import Dialect, choose_dialect
from dialog.finetune.adapters import AdapterCard
from dialog.roles import Role, load_role
from safety.policy import Policy
from serve.adapters import find_adapter
from serve.errors import SettingsError
from serve.store import DEFAULT_MODEL, ModelStore
from toolset.plugins import Loaded
from toolset.toolset import Toolset

CPU_CANDIDATES = 4
"""Candidates of the embedded engine on a CPU: a turn in seconds; LaMDA's 16 take about twice as long."""
CPU_TOKENS = 48
LAMDA_CANDIDATES = 16
PLAN_TOKENS = 160
"""Longest household plan that the model proposes."""
CPU_PLAN_TOKENS = 72
"""The same on a CPU, at some 13 tokens a second: within `embodied.tool.PATIENCE`."""


class AgentOptions(BaseModel):
    """What to assemble; every default gives the embedded agent that needs nothing but the package index."""

    model_config = ConfigDict(extra="forbid")

    model: str = DEFAULT_MODEL
    engine: str = Field(default="transformers", description="transformers, vllm, or the URL of a running `vllm serve`")
    adapter: str | None = Field(
        default=None,
        description="An adapter's name or folder, 'none' for none; None: the default model's own, or one merged in",
    )
    role: str = "assistant"
    corpus: str = Field(default="default", description="A retrieval corpus by name; 'none' for none")
    candidates: int | None = Field(
        default=None, ge=1, le=256, description="None: 16, and 4 on the CPU's embedded engine"
    )
    max_tokens: int | None = Field(
        default=None, ge=8, le=4096, description="None: 96, and 48 on the CPU's embedded engine"
    )
    research_candidates: int | None = Field(
        default=None, ge=0, le=64, description="0 quotes the sources. None: 0 with the default model, else at most 4"
    )
    temperature: float = Field(default=1.0, ge=0.0, le=2.0)
    dialect: str | None = Field(default=None, description="chat, judged or tuned; None: what fits model and adapter")
    device: str = "auto"
    threads: int | None = None
    tools_config: Path | None = None


class Assembled(NamedTuple):
    """An agent, and what a person should be told about it."""

    agent: Agent
    notices: list[str]


def fetch(options: AgentOptions) -> None:
    """Fetch and build what the options name and is missing, so that `assemble` has only to load.

    Raises ModelStoreError, CorpusError, AdapterError, RoleError, ToolConfigError.
    """
    from serve.tools import config_path, corpus_folder
    from toolset.config import read_config

    load_role(options.role)
    find_adapter(options.adapter, options.model, options.engine)
    retrieves = read_config(options.tools_config or config_path()).entry("retrieval").enabled
    ModelStore().pull(options.model)
    if retrieves and options.corpus != "none":
        corpus_folder(options.corpus)


async def assemble(options: AgentOptions) -> Assembled:
    """Fetch, load and connect everything.

    Raises ModelStoreError, SettingsError, AdapterError, RoleError, ToolConfigError.
    """
    role = load_role(options.role)
    adapter, card = find_adapter(options.adapter, options.model, options.engine)
    decoder = await open_named_decoder(options)
    toolset = None
    try:
        try:
            dialect = choose_dialect(decoder, dialect_of(options))
        except ValueError as error:
            raise SettingsError(str(error)) from error
        tokens = CPU_PLAN_TOKENS if is_slow(decoder) else PLAN_TOKENS
        # In a thread: a first start builds the corpus, for minutes, and a service must answer its probes meanwhile.
        loaded = await asyncio.to_thread(_tools, options, decoder, dialect, tokens, asyncio.get_running_loop())
        toolset = loaded.toolset
        settings, notices = sampling_for(options, decoder)
        if card is not None and adapter is None:
            notices.append(merged_notice(decoder, card, dialect))
        if card is not None and card.dialect != dialect.name:
            card = None  # its thresholds are of another read
        # The judged dialect's GROUNDED was trained on one source at a time; a turn shows several, and right answers
        # fell below its threshold (docs/log.md). The word test of `dialog.citations` holds alone there.
        if card is not None and dialect.name == "tuned":
            settings = settings.model_copy(update={"grounded_threshold": card.grounded_threshold})
        notices += [str(problem) for problem in loaded.problems] + unknown_tools(role, loaded.toolset)
        agent = Agent(decoder, loaded.toolset, dialect=dialect, role=role, policy=policy_of(card), settings=settings)
        await agent.prepare()
    except BaseException:
        if toolset is not None:
            await toolset.aclose()
        await decoder.aclose()
        raise
    return Assembled(agent, notices)


def unknown_tools(role: Role, toolset: Toolset) -> list[str]:
    """What to say of tools that a role allows and that nobody has: a misspelt name leaves it without the tool."""
    from serve.tools import BUILT_IN

    known = {*toolset.names, *BUILT_IN}
    return [
        f"The role {role.name} allows the tool {name!r}, which there is not. There are {', '.join(sorted(known))}."
        for name in role.tools or ()
        if name not in known
    ]


def _tools(
    options: AgentOptions, decoder: Decoder, dialect: Dialect, plan_tokens: int, loop: asyncio.AbstractEventLoop
) -> Loaded:
    """The tools, of which one asks the decoder, on its loop, for plans."""
    from embodied.propose import model_proposer
    from serve.tools import load_tools

    propose = model_proposer(decoder, dialect, max_tokens=plan_tokens, loop=loop)
    return load_tools(options.tools_config, corpus=options.corpus, propose=propose)


async def open_named_decoder(options: AgentOptions) -> Decoder:
    """The decoder for a model, engine and adapter by name. Raises what the store and the engines raise."""
    from serve.engines import open_decoder

    adapter, _ = find_adapter(options.adapter, options.model, options.engine)
    model = await asyncio.to_thread(ModelStore().pull, options.model)  # fetching must not hold up a service's probes
    return await open_decoder(
        options.engine,
        model.path,
        model_name=model.name,
        revision=model.revision,
        adapter=adapter,
        device=options.device,
        threads=options.threads,
    )


def dialect_of(options: AgentOptions) -> str | None:
    """The dialect that was asked for, or that the card names; None: what fits the decoder."""
    card = card_of(options)
    return options.dialect or (card.dialect if card else None)


def card_of(options: AgentOptions) -> AdapterCard | None:
    """The card of the adapter that the options choose, or that is merged into their model. Raises AdapterError."""
    return find_adapter(options.adapter, options.model, options.engine)[1]


def policy_of(card: AdapterCard | None) -> Policy:
    """The safety policy with the threshold that an adapter's card was calibrated to."""
    if card is None or card.safety_threshold is None:
        return Policy()
    return Policy(threshold=card.safety_threshold)


def merged_notice(decoder: Decoder, card: AdapterCard, dialect: Dialect) -> str:
    """What to say of a model folder whose card decides, as nobody named an adapter."""
    said = f"{decoder.info.model} is {card.base_model} with the adapter {card.full_name} merged in: "
    if card.dialect != dialect.name:
        threshold = policy_of(None).threshold
        said += f"made for the dialect {card.dialect}, so in {dialect.name} its thresholds are not used; "
    else:
        threshold = policy_of(card).threshold
        said += f"dialect {dialect.name}, "
    return f"{said}replies with P(safe) < {threshold:.4g} are dropped"


def is_slow(decoder: Decoder) -> bool:
    """Whether it is the embedded engine on a CPU."""
    return decoder.info.engine == "transformers" and decoder.info.device == "cpu"


def sampling_for(options: AgentOptions, decoder: Decoder) -> tuple[AgentSettings, list[str]]:
    """The settings of a turn on this decoder, and a notice where they are less than LaMDA's."""
    slow = is_slow(decoder)
    n = options.candidates or (CPU_CANDIDATES if slow else LAMDA_CANDIDATES)
    tokens = options.max_tokens or (CPU_TOKENS if slow else Sampling().max_tokens)
    notices = []
    if slow and options.candidates is None:
        notices.append(
            f"{n} candidates a turn on this CPU, LaMDA's {LAMDA_CANDIDATES} with --candidates {LAMDA_CANDIDATES}"
        )
    sampling = Sampling(n=n, max_tokens=tokens, temperature=options.temperature)
    if (asked := options.research_candidates) is None:
        # In the default model's words fewer answers are right than in the sources' own (docs/log.md).
        asked = 0 if options.model == DEFAULT_MODEL else min(n, 4)
    return AgentSettings(sampling=sampling, research_candidates=asked), notices
