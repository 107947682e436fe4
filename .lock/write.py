"""Write the locks: every package that `.venv` holds, pinned, split into what a chat needs and what tests add.

The split follows the metadata: a chat needs what `groundling` requires, directly or not; the rest goes to test.txt.
torch is installed first, by the Makefile, because its build differs between machines.
"""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = Path(__file__).parent
LEFT_OUT = {"groundling", "torch", "pip", "torchvision", "torchaudio", "torchcodec", "py-spy"}
BUILD = ["setuptools", "wheel"]  # for the editable install without build isolation


def needed(roots: list[str]) -> set[str]:
    """Canonical names of `roots` and of all that they require on this machine."""
    found: set[str] = set()
    waiting = [(canonicalize_name(root), frozenset[str]()) for root in roots]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        found.add(name)
        for line in distribution.requires or []:
            requirement = Requirement(line)
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras | {""}):
                waiting.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))
    return found


def main() -> None:
    chat = (needed(["groundling", *BUILD]) | needed(BUILD)) - LEFT_OUT
    torch_brings = needed(["torch"])
    pins = {}
    for distribution in metadata.distributions():
        name = canonicalize_name(distribution.metadata["Name"])
        if name not in LEFT_OUT and not re.match(r"nvidia|groundling", name):
            pins[name] = f"{name}=={distribution.version}"
    chat |= {name for name in torch_brings if name in pins}
    write("chat.txt", "what `make chat` installs beside torch", sorted(pins[name] for name in pins if name in chat))
    write("test.txt", "what `make test` adds", sorted(pins[name] for name in pins if name not in chat))


def write(name: str, what: str, lines: list[str]) -> None:
    head = f"# {what}; written by `make lock`\n"
    (HERE / name).write_text(head + "\n".join(lines) + "\n", encoding="utf-8")
    print(f"{name}: {len(lines)} packages")


if __name__ == "__main__":
    main()
