"""Roles: LaMDA's domain grounding (arXiv 2201.08239, section 7.2). A role preconditions a chat with who the agent is.

A role is a YAML file:

    name: everest
    persona: You are Mount Everest, talking with a curious student about yourself.
    opening:
      - Hi, I'm Mount Everest. What would you like to know about me?
    tools: [calculator, retrieval]     # left out: all tools
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dialog.errors import RoleError


class Role(BaseModel):
    """Who the agent is in a chat."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=60)
    persona: str = Field(min_length=1, max_length=4000)
    opening: tuple[str, ...] = Field(default=(), description="What the agent says before the user's first message.")
    tools: tuple[str, ...] | None = Field(default=None, description="Names of the tools it may use; None allows all.")


def shipped_roles() -> dict[str, Path]:
    """The roles that come with the package, by name."""
    folder = Path(str(files("dialog") / "roles"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_role(name_or_path: str) -> Role:
    """A role by its name or from a YAML file. Raises RoleError."""
    shipped = shipped_roles()
    path = shipped.get(name_or_path) or Path(name_or_path).expanduser()
    if not path.is_file():
        raise RoleError(f"unknown role {name_or_path!r}. Use one of {', '.join(shipped)}, or the path of a role file.")
    try:
        return Role.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RoleError(f"cannot read role file {path}: {error}. It must be YAML in UTF-8.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        got = f", got {first['input']!r:.100}" if isinstance(first["input"], str) else ""
        raise RoleError(
            f"role file {path}: {where}: {first['msg']}{got}. See the keys in `dialog/roles/assistant.yaml`."
        ) from error
