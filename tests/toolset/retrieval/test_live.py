"""Live search against a server on loopback that replays the services' documented answers."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import httpcore
import pytest

from serve.tools import builtin_tools
from toolset.config import ToolEntry, ToolsConfig
from toolset.errors import ToolConfigError
from toolset.retrieval.live import CheckedNetwork, LiveSearch, SearchError, is_public
from toolset.retrieval.providers import plain

ANSWERS: dict[str, object] = {
    "/w/api.php": {
        "batchcomplete": True,
        "query": {
            "pages": [
                {"pageid": 2, "title": "Nadal Academy", "index": 2, "extract": "A school.", "fullurl": "https://x/2"},
                {
                    "pageid": 1, "ns": 0, "title": "Rafael Nadal", "index": 1,
                    "fullurl": "https://en.wikipedia.org/wiki/N",
                    "extract": "Rafael Nadal Parera (born 3 June 1986) is a Spanish former tennis player.",
                },
            ]
        },
    },
    "/search": {
        "query": "x",
        "results": [
            {"title": "One", "url": "https://example.org/1", "content": "First <b>hit</b>.", "score": 2.5},
            {"title": "Two", "url": "javascript:alert(1)", "content": None},
        ],
    },
    "/res/v1/web/search": {
        "type": "search",
        "web": {
            "results": [
                {"title": "B &amp; C", "url": "https://example.org/b", "description": "Some <strong>text</strong>.",
                 "extra_snippets": ["More."]},
            ]
        },
    },
    "/tavily": {"results": [{"title": "T", "url": "https://example.org/t", "content": "C.", "score": 0.9}]},
    "/empty/api.php": {"batchcomplete": True},
    "/wrong/api.php": {"error": {"code": "badvalue", "info": "Unrecognized value"}},
    "/list/search": ["unexpected"],
}  # fmt: skip


class Replay(BaseHTTPRequestHandler):
    seen: ClassVar[list[tuple[str, dict, dict, bytes]]] = []

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        Replay.seen.append((parts.path, parse_qs(parts.query), dict(self.headers), self.rfile.read(length)))
        status = {"/moved/search": 302, "/locked/search": 403, "/busy/search": 429}.get(parts.path, 200)
        body = json.dumps(ANSWERS.get(parts.path)).encode()
        if parts.path == "/html/search":
            body = b"<html>"
        if parts.path == "/flood/search":
            body = b" " * (3 << 20)
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "http://169.254.169.254/latest/meta-data")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Replay) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def search(provider: str, url: str, query: str = "Rafael Nadal", **settings) -> list[tuple]:
    tool = LiveSearch(provider, url=url, private=True, **settings)
    try:
        results = tool.run(query)
    finally:
        tool.close()
    return [(r.text, r.source.title, r.source.url, r.source.id, r.source.score) for r in results if r.source]


def test_mediawiki(server):
    found = search("mediawiki", f"{server}/w/api.php")
    assert found[0] == (
        "Rafael Nadal Parera (born 3 June 1986) is a Spanish former tennis player.",
        "Rafael Nadal", "https://en.wikipedia.org/wiki/N", "1", None,
    )  # fmt: skip
    assert Replay.seen[-1][1]["gsrsearch"] == ["Rafael Nadal"]
    assert search("mediawiki", f"{server}/empty/api.php") == []


def test_searxng_drops_markup_and_addresses_that_are_none(server):
    assert search("searxng", server) == [
        ("First hit.", "One", "https://example.org/1", "https://example.org/1", 2.5),
        ("Two", "Two", None, "javascript:alert(1)", None),
    ]
    assert Replay.seen[-1][1]["format"] == ["json"]


def test_brave_takes_its_key_from_the_environment(server, monkeypatch):
    monkeypatch.setenv("MY_KEY", "s3cret")
    found = search("brave", f"{server}/res/v1/web/search", key_env="MY_KEY")
    assert found == [("Some text. More.", "B & C", "https://example.org/b", "https://example.org/b", None)]
    assert Replay.seen[-1][2]["X-Subscription-Token"] == "s3cret"
    assert "s3cret" not in repr(LiveSearch("brave", key_env="MY_KEY").provider)


def test_tavily_posts(server, monkeypatch):
    monkeypatch.setenv("MY_KEY", "s3cret")
    assert search("tavily", f"{server}/tavily", key_env="MY_KEY")[0][0] == "C."
    _, _, headers, body = Replay.seen[-1]
    assert headers["Authorization"] == "Bearer s3cret"
    assert json.loads(body) == {"query": "Rafael Nadal", "max_results": 3}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/moved", "redirects .* not followed"),
        ("/locked", "Check the key"),
        ("/busy", "HTTP 429"),
        ("/html", "is not JSON"),
        ("/list", "is not what SearXNG answers"),
        ("/flood", "over 2 MB"),
    ],
)
def test_what_goes_wrong_is_named(server, path, expected):
    with pytest.raises(SearchError, match=expected):
        search("searxng", server + path)


def test_the_services_own_error_is_passed_on(server):
    with pytest.raises(SearchError, match="badvalue: Unrecognized value"):
        search("mediawiki", f"{server}/wrong/api.php")


def test_nobody_listening_is_named():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(SearchError, match="cannot search at 127"):
            search("searxng", f"http://127.0.0.1:{free.getsockname()[1]}")


def test_tags_are_taken_out_and_comparisons_are_not():
    assert plain("<p class='a'>A <b>bold</b> claim<br/>.</p>") == "A bold claim."
    text = "A number x is small if x < 5 and large if x > 100."
    assert plain(text) == text


def test_private_addresses_are_refused_unless_allowed(server):
    with pytest.raises(SearchError, match="not a public address"):
        LiveSearch("searxng", url=server).run("x")
    with pytest.raises(SearchError, match="not a public address"):
        LiveSearch("searxng", url=server.replace("127.0.0.1", "localhost")).run("x")


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True), ("2606:2800:220:1::1", True), ("127.0.0.1", False), ("10.1.2.3", False),
        ("192.168.0.1", False), ("172.16.0.1", False), ("169.254.169.254", False), ("100.64.0.1", False),
        ("0.0.0.0", False), ("224.0.0.1", False), ("::1", False), ("fe80::1%eth0", False), ("fd00::1", False),
        ("::ffff:127.0.0.1", False), ("64:ff9b::7f00:1", False), ("2002:7f00:1::", False),
        ("64:ff9b:1::7f00:1", False), ("::127.0.0.1", False), ("fec0::1", False),
    ],
)  # fmt: skip
def test_which_addresses_are_public(address, public):
    assert is_public(address) is public


def test_a_name_with_one_private_address_is_refused_and_what_was_checked_is_what_is_connected_to():
    """DNS rebinding: the name is resolved once; the connection goes to the address that was looked at."""
    answers = iter([["93.184.215.14", "10.0.0.1"], ["93.184.215.14"], ["127.0.0.1"]])

    def resolve(host: str, port: int, type: int) -> list:
        return [(socket.AF_INET, type, 6, "", (address, port)) for address in next(answers)]

    connected: list[str] = []

    class Recorder(httpcore.MockBackend):
        def connect_tcp(self, host: str, *args, **kwargs):
            connected.append(host)
            return super().connect_tcp(host, *args, **kwargs)

    network = CheckedNetwork(private=False, resolve=resolve)
    network.inner = Recorder([])
    with pytest.raises(httpcore.ConnectError, match=r"10\.0\.0\.1"):
        network.connect_tcp("example.org", 80)
    network.connect_tcp("example.org", 80)
    with pytest.raises(httpcore.ConnectError, match=r"127\.0\.0\.1"):
        network.connect_tcp("example.org", 80)
    assert connected == ["93.184.215.14"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"provider": "altavista"}, "unknown search provider 'altavista'"),
        ({"provider": "searxng"}, "needs the `url`"),
        ({"provider": "searxng", "url": "file:///etc/passwd"}, "is no web address"),
        ({"provider": "brave"}, "needs a key"),
        ({"provider": "tavily", "key_env": "NOT_SET_ANYWHERE"}, "NOT_SET_ANYWHERE is not set"),
    ],
)
def test_settings_that_cannot_be_are_refused_at_once(settings, expected):
    with pytest.raises(ToolConfigError, match=expected):
        LiveSearch(**settings)


def test_a_provider_in_tools_toml_switches_it_on(server):
    settings = {"provider": "searxng", "url": server, "private": True}
    [tool] = [
        each
        for each in builtin_tools("none", ToolsConfig(tools={"search": ToolEntry(settings=settings)}))
        if each.name == "search"
    ]
    assert isinstance(tool, LiveSearch)
    assert (tool.open_domain, tool.status()) == (True, f"Queries go to {server.removeprefix('http://').split(':')[0]}.")
    assert [each.text for each in tool.run("Rafael Nadal")] == ["First hit.", "Two"]
    assert "search" not in [each.name for each in builtin_tools("none", ToolsConfig())]


def test_a_mistake_in_its_settings_is_named():
    config = ToolsConfig(tools={"search": ToolEntry(settings={"provider": "mediawiki", "speed": 3})})
    with pytest.raises(ToolConfigError, match=r"settings of the tool 'search'.*speed"):
        builtin_tools("none", config)
