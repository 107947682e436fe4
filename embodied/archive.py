"""The scene archive: real VirtualHome programs, each with its home before and after, in one small file.

A file is gzip over two lines: a header (format, version, SHA-256 of the second line) and a body. The body holds one
base home, and per program the differences of its own home from the base and of the end from the start. Relations are
written as flat id pairs per name; CLOSE holds both ways and is written once.
Boundary: reading, writing and checking the format; where the data comes from is in `convert`.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from embodied.errors import ArchiveError, EmbodiedError
from embodied.world.program import Program, parse_program
from embodied.world.scene import Edge, Node, Scene

FORMAT = "groundling-scenes"
VERSION = 1
DEFAULT = Path(__file__).parent / "data" / "virtualhome.scenes.gz"


@dataclass(frozen=True)
class Recording:
    """One recorded program with the home it ran in. `key` is the source's file name, `activity` its title."""

    key: str
    activity: str
    description: str
    lines: tuple[str, ...]
    archive: Archive = field(repr=False)
    delta: Mapping[str, Any] = field(repr=False)

    @cached_property
    def scene(self) -> Scene:
        """The home before the program."""
        base, delta = self.archive, self.delta
        gone = set(delta["gone"])
        nodes = {i: node for i, node in base.nodes.items() if i not in gone}
        nodes |= {node.id: node for node in map(base.node, delta["nodes"])}
        for number, states in delta["states"].items():
            nodes[int(number)] = base.restated(nodes[int(number)], states)
        edges = {edge for edge in base.edges if edge[0] not in gone and edge[2] not in gone}
        edges -= unpack_edges(delta["less"])
        edges |= unpack_edges(delta["more"])
        return Scene.build(nodes.values(), edges, name=self.key)

    @cached_property
    def program(self) -> Program:
        """The program in its home."""
        return Program(parse_program(self.lines, self.scene).steps, self.activity, self.description)

    def stored_final(self) -> tuple[dict[int, frozenset[str]], set[Edge]]:
        """The recorded end: every node's states by id, and every relation."""
        end = self.delta["final"]
        states = {node.id: frozenset(node.states) for node in self.scene.nodes}
        states |= {
            int(number): frozenset(self.archive.states[i] for i in held) for number, held in end["states"].items()
        }
        edges = initial_edges(self.scene) - unpack_edges(end["less"]) | unpack_edges(end["more"])
        return states, edges


def initial_edges(scene: Scene) -> set[Edge]:
    """All relations of a scene as built."""
    from embodied.world.state import initial

    return initial(scene).edges()


@dataclass(frozen=True)
class Archive:
    """All recordings, and the base home they differ from."""

    body: Mapping[str, Any] = field(repr=False)
    sha256: str = ""

    @cached_property
    def states(self) -> tuple[str, ...]:
        """The names that state numbers stand for."""
        return tuple(self.body["states"])

    def node(self, row: Sequence[Any]) -> Node:
        """A node from its row [id, kind, states]."""
        number, kind, states = row
        name, category, properties = self.body["kinds"][kind]
        named = self.body["properties"]
        return Node(number, name, category, tuple(named[p] for p in properties), tuple(self.states[s] for s in states))

    def restated(self, node: Node, states: Sequence[int]) -> Node:
        """`node` with other states."""
        return Node(node.id, node.name, node.category, node.properties, tuple(self.states[s] for s in states))

    @cached_property
    def nodes(self) -> Mapping[int, Node]:
        """The base home's nodes by id."""
        return {row[0]: self.node(row) for row in self.body["nodes"]}

    @cached_property
    def edges(self) -> frozenset[Edge]:
        """The base home's relations."""
        return frozenset(unpack_edges(self.body["edges"]))

    @cached_property
    def base_scene(self) -> Scene:
        """The base home alone."""
        return Scene.build(self.nodes.values(), self.edges, name="base")

    @cached_property
    def recordings(self) -> tuple[Recording, ...]:
        """All recordings, by key."""
        return tuple(
            Recording(p["key"], p["title"], p["description"], tuple(p["lines"]), self, p) for p in self.body["programs"]
        )


def pack_edges(edges: Iterable[Edge]) -> dict[str, list[int]]:
    """Relations as flat, sorted id pairs by name; CLOSE once, lower id first."""
    named: dict[str, list[tuple[int, int]]] = {}
    for a, name, b in edges:
        if name != "CLOSE" or a <= b:
            named.setdefault(name, []).append((a, b))
    return {name: [number for pair in sorted(pairs) for number in pair] for name, pairs in sorted(named.items())}


def unpack_edges(packed: Mapping[str, Sequence[int]]) -> set[Edge]:
    """The reverse of `pack_edges`."""
    found: set[Edge] = set()
    for name, flat in packed.items():
        pairs = list(zip(flat[::2], flat[1::2], strict=True))
        found.update((a, name, b) for a, b in pairs)
        if name == "CLOSE":
            found.update((b, name, a) for a, b in pairs)
    return found


def write_archive(path: Path, body: Mapping[str, Any]) -> str:
    """Write a body; equal bodies give equal files. Returns the body's SHA-256."""
    line = json.dumps(body, separators=(",", ":"), sort_keys=True).encode()
    digest = hashlib.sha256(line).hexdigest()
    header = json.dumps({"format": FORMAT, "version": VERSION, "sha256": digest}).encode()
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(gzip.compress(header + b"\n" + line, 9, mtime=0))
    partial.replace(path)
    return digest


def read_archive(path: Path) -> Archive:
    """Read and check an archive. Raises ArchiveError where it is missing, of another version, or corrupt."""
    fix = "Make it again with: python -m embodied.convert virtualhome_eval-0.1.1-py3-none-any.whl"
    try:
        raw = gzip.decompress(path.read_bytes())
    except FileNotFoundError:
        raise ArchiveError(f"no scene archive at {path}. {fix}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise ArchiveError(f"scene archive {path} is corrupt ({error}). {fix}") from None
    head, _, line = raw.partition(b"\n")
    try:
        header = json.loads(head)
        name, version, digest = header["format"], header["version"], header["sha256"]
    except (ValueError, KeyError, TypeError):
        raise ArchiveError(f"{path} is not a scene archive: it has no header. {fix}") from None
    if name != FORMAT or version != VERSION:
        raise ArchiveError(f"{path} is {name} version {version}, this program reads {FORMAT} version {VERSION}. {fix}")
    if hashlib.sha256(line).hexdigest() != digest:
        raise ArchiveError(f"scene archive {path} is corrupt: its content does not match its SHA-256. {fix}")
    try:
        archive = Archive(json.loads(line), digest)
        _ = archive.base_scene, archive.recordings
    except (ValueError, KeyError, TypeError, IndexError, EmbodiedError) as error:
        raise ArchiveError(f"scene archive {path} cannot be read ({error}). {fix}") from None
    return archive


@lru_cache(maxsize=1)
def default_archive() -> Archive:
    """The archive that comes with the package."""
    return read_archive(DEFAULT)
