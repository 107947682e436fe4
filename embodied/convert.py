"""Convert the `virtualhome_eval` wheel into the scene archive: `python -m embodied.convert WHEEL [OUT]`.

The wheel (MIT) is read as a data file and never imported. The base home is what most programs' homes share; each
program keeps its differences. Equal wheels give equal archives.
Boundary: this module knows the wheel's layout and nothing of how scenes are used.
"""

from __future__ import annotations

import json
import sys
import zipfile
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any

from embodied.archive import DEFAULT, pack_edges, write_archive
from embodied.errors import ArchiveError
from embodied.world.scene import Edge
from embodied.world.vocabulary import CHARACTER, PROPERTIES, ROOM_CATEGORY, STATES

ROOT = PurePosixPath("virtualhome_eval/dataset/programs_processed_precond_nograb_morepreconds")

Rows = dict[int, tuple[int, tuple[int, ...]]]
"""Node id to (kind, states)"""


def graph_edges(graph: dict[str, Any]) -> set[Edge]:
    """A stored graph's relations."""
    return {(edge["from_id"], edge["relation_type"], edge["to_id"]) for edge in graph["edges"]}


def graph_states(graph: dict[str, Any]) -> dict[int, tuple[int, ...]]:
    """A stored graph's node states, as sorted numbers."""
    return {node["id"]: tuple(sorted(STATES.index(s) for s in node["states"])) for node in graph["nodes"]}


class Kinds:
    """Numbers each distinct (name, category, properties)."""

    def __init__(self) -> None:
        self.numbers: dict[tuple[str, str, tuple[int, ...]], int] = {}

    def number(self, node: dict[str, Any]) -> int:
        properties = tuple(sorted(PROPERTIES.index(p) for p in set(node["properties"])))
        return self.numbers.setdefault((node["class_name"], node["category"] or "", properties), len(self.numbers))


def read_wheel(wheel: Path) -> list[dict[str, Any]]:
    """Every program of the wheel with its graphs, by key. Raises ArchiveError for any other file."""
    try:
        with zipfile.ZipFile(wheel) as files:
            names = {PurePosixPath(name) for name in files.namelist()}
            graphs = sorted(p for p in names if p.suffix == ".json" and (ROOT / "init_and_final_graphs") in p.parents)
            found = []
            for path in graphs:
                relative = path.relative_to(ROOT / "init_and_final_graphs").with_suffix(".txt")
                text = files.read(str(ROOT / "executable_programs" / relative)).decode()
                found.append({"key": path.stem, "text": text, **json.loads(files.read(str(path)))})
    except (OSError, zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ArchiveError(f"{wheel} is not a readable virtualhome_eval wheel ({error}). Use version 0.1.1.") from None
    if not found:
        raise ArchiveError(f"{wheel} holds no programs under {ROOT}. Use the wheel virtualhome_eval 0.1.1.")
    return found


def commonest_start(programs: list[dict[str, Any]], edge_count: Counter[Edge]) -> Edge:
    """The character's most frequent room, so that the base home is a home although no room holds it half the time."""
    nodes = programs[0]["init_graph"]["nodes"]
    me = next(node["id"] for node in nodes if node["class_name"] == CHARACTER)
    rooms = {node["id"] for node in nodes if node["category"] == ROOM_CATEGORY}
    places = [e for e in edge_count if e[0] == me and e[1] == "INSIDE" and e[2] in rooms]
    return max(places, key=lambda e: (edge_count[e], -e[2]))


def convert(wheel: Path, out: Path) -> str:
    """Write the archive of a wheel. Returns the body's SHA-256."""
    programs = read_wheel(wheel)
    kinds = Kinds()
    rows: list[Rows] = []
    for program in programs:
        states = graph_states(program["init_graph"])
        rows.append({n["id"]: (kinds.number(n), states[n["id"]]) for n in program["init_graph"]["nodes"]})
    starts = [graph_edges(program["init_graph"]) for program in programs]

    half = len(programs) / 2
    kind_count = Counter((number, row[0]) for held in rows for number, row in held.items())
    common = {number: kind for (number, kind), count in kind_count.items() if count > half}
    state_count = Counter((number, row[1]) for held in rows for number, row in held.items() if number in common)
    base_states = {number: max((c, s) for (n, s), c in state_count.items() if n == number)[1] for number in common}
    edge_count = Counter(edge for edges in starts for edge in edges)
    base_edges = {e for e, count in edge_count.items() if count > half and e[0] in common and e[2] in common}
    base_edges.add(commonest_start(programs, edge_count))

    body = {
        "source": "virtualhome_eval 0.1.1 (MIT), scene TrimmedTestScene1",
        "states": list(STATES),
        "properties": list(PROPERTIES),
        "kinds": [list(kind) for kind in kinds.numbers],
        "nodes": [[number, common[number], base_states[number]] for number in sorted(common)],
        "edges": pack_edges(base_edges),
        "programs": [],
    }
    for program, held, start in zip(programs, rows, starts, strict=True):
        gone = sorted(number for number, kind in common.items() if held.get(number, (None,))[0] != kind)
        kept = {e for e in base_edges if e[0] not in gone and e[2] not in gone}
        after, end_states = graph_edges(program["final_graph"]), graph_states(program["final_graph"])
        lines = [line.strip() for line in program["text"].splitlines() if line.strip()]
        head = [line for line in lines if not line.startswith("[")]
        body["programs"].append(
            {
                "key": program["key"],
                "title": head[0] if head else "",
                "description": " ".join(head[1:]),
                "lines": [line for line in lines if line.startswith("[")],
                "gone": gone,
                "nodes": [[i, *held[i]] for i in sorted(held) if i not in common or i in gone],
                "states": {
                    str(i): held[i][1]
                    for i in sorted(held)
                    if i in common and i not in gone and held[i][1] != base_states[i]
                },
                "less": pack_edges(kept - start),
                "more": pack_edges(start - kept),
                "final": {
                    "states": {str(i): s for i, s in sorted(end_states.items()) if s != held[i][1]},
                    "less": pack_edges(start - after),
                    "more": pack_edges(after - start),
                },
            }
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    return write_archive(out, body)


def main(arguments: list[str]) -> int:
    """Run from the command line. Returns the exit code."""
    if not 1 <= len(arguments) <= 2:
        print("usage: python -m embodied.convert WHEEL [OUT]", file=sys.stderr)
        return 2
    out = Path(arguments[1]) if len(arguments) == 2 else DEFAULT
    try:
        digest = convert(Path(arguments[0]), out)
    except ArchiveError as error:
        print(f"embodied.convert: {error}", file=sys.stderr)
        return 1
    print(f"{out}: {out.stat().st_size} bytes, body sha256 {digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
