"""Retrieval: passages that answer a question, from a corpus on this machine, each with its source."""

from toolset.retrieval.corpus import Changes, Corpus, Found
from toolset.retrieval.default import build_default_corpus
from toolset.retrieval.embedder import Embedder
from toolset.retrieval.errors import CorpusError, DamagedCorpusError, DocumentError, EmbedderError
from toolset.retrieval.live import LiveSearch, SearchError
from toolset.retrieval.providers import SearchProvider
from toolset.retrieval.store import CorpusInfo, Document, Store
from toolset.retrieval.tool import Retrieval

__all__ = [
    "Changes",
    "Corpus",
    "CorpusError",
    "CorpusInfo",
    "DamagedCorpusError",
    "Document",
    "DocumentError",
    "Embedder",
    "EmbedderError",
    "Found",
    "LiveSearch",
    "Retrieval",
    "SearchError",
    "SearchProvider",
    "Store",
    "build_default_corpus",
]
