"""Search services behind one protocol: how each is asked, and how its answer is read.

MediaWiki's action API needs no key; SearXNG is one's own server; Brave and Tavily take a key. Boundary: builds
requests and reads answers; sending them safely is `live`'s.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlencode

from toolset.tool import Result, Source


@dataclass(frozen=True)
class Request:
    """One HTTP request; `body` None is a GET."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


class SearchProvider(Protocol):
    """A search service. `parse` may raise KeyError, TypeError or ValueError for an answer of another shape."""

    def request(self, query: str, k: int) -> Request: ...

    def parse(self, answer: Any) -> list[Result]: ...


@dataclass(frozen=True)
class MediaWiki:
    """Any MediaWiki's articles, by its action API (`list=search` with the lead sections as extracts)."""

    url: str = "https://en.wikipedia.org/w/api.php"

    def request(self, query: str, k: int) -> Request:
        asked = {
            "action": "query", "format": "json", "formatversion": 2, "generator": "search", "gsrsearch": query,
            "gsrlimit": k, "prop": "extracts|info", "exintro": 1, "explaintext": 1, "exlimit": "max", "inprop": "url",
        }  # fmt: skip
        return Request(f"{self.url}?{urlencode(asked)}")

    def parse(self, answer: Any) -> list[Result]:
        if "error" in answer:
            raise ValueError(f"{answer['error'].get('code')}: {answer['error'].get('info')}")
        pages = sorted(answer.get("query", {}).get("pages", []), key=lambda page: page.get("index", 0))
        return [
            found(page["title"], page["fullurl"], page.get("extract") or "", identity=str(page["pageid"]))
            for page in pages
        ]


@dataclass(frozen=True)
class SearXNG:
    """A SearXNG server of one's own, with its JSON format switched on."""

    url: str

    def request(self, query: str, k: int) -> Request:
        return Request(f"{self.url.rstrip('/')}/search?{urlencode({'q': query, 'format': 'json'})}")

    def parse(self, answer: Any) -> list[Result]:
        return [
            found(item["title"], item["url"], item.get("content") or "", item.get("score"))
            for item in answer["results"]
        ]


@dataclass(frozen=True)
class Brave:
    """Brave's web search."""

    key: str = field(repr=False)
    url: str = "https://api.search.brave.com/res/v1/web/search"

    def request(self, query: str, k: int) -> Request:
        asked = urlencode({"q": query, "count": k, "text_decorations": "false"})
        return Request(f"{self.url}?{asked}", {"X-Subscription-Token": self.key})

    def parse(self, answer: Any) -> list[Result]:
        items = (answer.get("web") or {}).get("results") or []
        return [
            found(
                item["title"], item["url"], " ".join([item.get("description") or "", *item.get("extra_snippets", [])])
            )
            for item in items
        ]


@dataclass(frozen=True)
class Tavily:
    """Tavily's search."""

    key: str = field(repr=False)
    url: str = "https://api.tavily.com/search"

    def request(self, query: str, k: int) -> Request:
        body = json.dumps({"query": query, "max_results": k}).encode()
        return Request(self.url, {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}, body)

    def parse(self, answer: Any) -> list[Result]:
        return [
            found(item["title"], item["url"], item.get("content") or "", item.get("score"))
            for item in answer["results"]
        ]


def found(title: str, url: str, text: str, score: Any = None, identity: str | None = None) -> Result:
    """A result of plain text: markup is dropped, only web addresses are cited."""
    clean, name = plain(text), plain(title)
    number = float(score) if isinstance(score, int | float) else None
    address = url if re.match(r"https?://", url) else None
    return Result(text=clean or name, source=Source(title=name, url=address, id=identity or url, score=number))


def plain(text: str) -> str:
    """Text without tags; a `<` that opens none ("x < 5") is the text's own."""
    return " ".join(html.unescape(re.sub(r"</?[A-Za-z][^<>]{0,200}>|<!--.{0,200}?-->", "", text)).split())
