"""Live search as a tool; off unless someone configures it.

    [tools.search]
    settings = { provider = "mediawiki" }                                      # or
    settings = { provider = "searxng", url = "http://127.0.0.1:8888", private = true }
    settings = { provider = "brave", key_env = "BRAVE_API_KEY" }               # keys come from the environment

A query leaves this machine, so it goes nowhere unforeseen: redirects are not followed, and a connection is made only
to a public address that was just resolved and checked, to that very address (a name that resolves differently the
second time, DNS rebinding, gains nothing). `private` allows one's own network, for a SearXNG of one's own.
"""

from __future__ import annotations

import ipaddress
import json
import os
import socket
import ssl
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

import httpcore

from toolset.errors import ToolConfigError, ToolsetError
from toolset.retrieval.providers import Brave, MediaWiki, Request, SearchProvider, SearXNG, Tavily
from toolset.tool import Result, Tool

MAX_ANSWER = 2 << 20
"""Bytes of a service's answer that are read."""
MAX_QUERY = 300
"""Characters of a query that are sent: search services take no more."""
AGENT = "groundling/0.1 (a grounded dialog agent)"


class SearchError(ToolsetError):
    """A search service cannot be reached, or answers something else (for who configures the toolset)."""


class LiveSearch(Tool):
    """Asks a search service; `provider` is one of mediawiki, searxng, brave, tavily, or a SearchProvider.

    `key_env` names the environment variable with the service's key; `timeout` is in seconds, for each of connecting,
    sending and receiving. Raises ToolConfigError.
    """

    name = "search"
    description = "Searches the web, or a wiki, for passages that answer a question, and cites them."
    needs = frozenset({"network"})
    timeout = 10.0
    open_domain = True

    def __init__(
        self,
        provider: str | SearchProvider,
        *,
        url: str | None = None,
        key_env: str | None = None,
        k: int = 3,
        private: bool = False,
        timeout: float = 5.0,
    ) -> None:
        self.provider = named(provider, url, key_env) if isinstance(provider, str) else provider
        self.k, self.seconds = k, timeout
        self.pool = httpcore.ConnectionPool(
            ssl_context=ssl.create_default_context(), network_backend=CheckedNetwork(private), max_connections=4
        )

    def run(self, query: str) -> list[Result]:
        """Up to `k` results. Raises SearchError."""
        query = " ".join(query.split())[:MAX_QUERY]
        if not query:
            return []
        request = self.provider.request(query, self.k)
        answer = self.fetch(request)
        try:
            return self.provider.parse(answer)[: self.k]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SearchError(
                f"the answer of {host_of(request)} is not what {type(self.provider).__name__} answers: {error!r}. "
                "Check the provider and its url."
            ) from error

    def fetch(self, request: Request) -> Any:
        """Send one request; the answer's JSON. Raises SearchError."""
        host = host_of(request)
        headers = {"User-Agent": AGENT, "Accept": "application/json", **request.headers}
        limits = dict.fromkeys(("connect", "read", "write", "pool"), self.seconds)
        method = "GET" if request.body is None else "POST"
        try:
            with self.pool.stream(
                method, request.url, headers=list(headers.items()), content=request.body, extensions={"timeout": limits}
            ) as response:
                if response.status != 200:
                    raise SearchError(refusal(host, response.status))
                body = b""
                for chunk in response.iter_stream():
                    body += chunk
                    if len(body) > MAX_ANSWER:
                        raise SearchError(f"the answer of {host} is over {MAX_ANSWER >> 20} MB. Check its url.")
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            reason = str(error) or type(error).__name__
            raise SearchError(f"cannot search at {host}: {reason}. Check the network and the url.") from error
        try:
            return json.loads(body)
        except ValueError as error:
            raise SearchError(f"the answer of {host} is not JSON. Check the provider and its url.") from error

    def status(self) -> str:
        """Where queries go, for people."""
        return f"Queries go to {host_of(self.provider.request('query', self.k))}."

    def close(self) -> None:
        self.pool.close()


def host_of(request: Request) -> str:
    return urlsplit(request.url).hostname or request.url


def refusal(host: str, status: int) -> str:
    if 300 <= status < 400:
        return f"{host} redirects (HTTP {status}), which is not followed. Configure the address it leads to."
    if status in (401, 403):
        return f"{host} refuses access (HTTP {status}). Check the key, and for SearXNG that its JSON format is on."
    if status == 429:
        return f"{host} has had enough queries for now (HTTP 429). Wait, or use another provider."
    return f"{host} answers HTTP {status}. Try again later, or check its url."


def named(provider: str, url: str | None, key_env: str | None) -> SearchProvider:
    """A provider from its settings. Raises ToolConfigError."""
    if url is not None and urlsplit(url).scheme not in ("http", "https"):
        raise ToolConfigError(f"search url {url!r} is no web address. Use http:// or https://.")
    if provider == "mediawiki":
        return MediaWiki(url) if url else MediaWiki()
    if provider == "searxng":
        if not url:
            raise ToolConfigError("the search provider 'searxng' needs the `url` of your server.")
        return SearXNG(url)
    makers: dict[str, Callable[..., SearchProvider]] = {"brave": Brave, "tavily": Tavily}
    if provider not in makers:
        raise ToolConfigError(f"unknown search provider {provider!r}. Use mediawiki, searxng, brave or tavily.")
    key = os.environ.get(key_env or "")
    if not key:
        raise ToolConfigError(
            f"the search provider {provider!r} needs a key. Put it in an environment variable and name that in "
            f"`key_env`{f' ({key_env} is not set)' if key_env else ''}."
        )
    return makers[provider](key, url) if url else makers[provider](key)


class CheckedNetwork(httpcore.NetworkBackend):
    """Connects only to addresses that were checked: all that a name resolves to must be public (or `private` is on)."""

    def __init__(self, private: bool, resolve: Callable[..., list] = socket.getaddrinfo) -> None:
        self.private = private
        self.resolve = resolve
        self.inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable | None = None,
    ) -> httpcore.NetworkStream:
        try:
            found = self.resolve(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError(f"the name {host!r} is not known ({error})") from error
        addresses = [str(each[4][0]) for each in found]
        refused = [address for address in addresses if not is_public(address)]
        if refused and not self.private:
            raise httpcore.ConnectError(
                f"{host!r} is at {refused[0]}, which is not a public address; set `private = true` if it is your own"
            )
        return self.inner.connect_tcp(addresses[0], port, timeout, local_address, socket_options)

    def connect_unix_socket(self, path: str, timeout: float | None = None, socket_options: Iterable | None = None):
        raise httpcore.ConnectError("sockets of this machine are not searched")

    def sleep(self, seconds: float) -> None:
        self.inner.sleep(seconds)


WRAPPING = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "::/96")))
"""Networks whose last 32 bits are an IPv4 address: NAT64 (RFC 6052, RFC 8215) and IPv4-compatible ones."""


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the open internet; one that wraps an IPv4 address is judged by that."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and any(ip in network for network in WRAPPING):
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if ip.is_site_local:
            return False
        ip = inner or ip
    return ip.is_global and not ip.is_multicast
