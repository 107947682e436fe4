"""A role file of the operator's own: it goes by the name that stands in it, and its path is nobody's business."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from serve.cli.main import main
from serve.settings import Settings

from .conftest import running

PIRATE = "name: {name}\npersona: You are a pirate who answers briefly.\nopening: [Ahoy!]\n"


@pytest.fixture
def role_file(tmp_path: Path) -> Callable[[str], str]:
    def write(name: str) -> str:
        path = tmp_path / "my-role.yaml"
        path.write_text(PIRATE.format(name=name))
        return str(path)

    return write


async def test_an_own_role_serves_turns_conversations_and_models_by_its_name(
    settings_for: Callable[..., Settings], role_file: Callable[[str], str]
):
    path = role_file("pirate")
    async with running(settings_for(role=path)) as service, service.client() as client:
        made = await client.post("/v1/conversations", json={})
        in_it = await client.post("/v1/turns", json={"message": "hello", "conversation": made.json()["id"]})
        named = await client.post("/v1/turns", json={"message": "hello", "role": "pirate"})
        by_path = await client.post("/v1/turns", json={"message": "hello", "role": path})
        roles, models = await client.get("/v1/roles"), await client.get("/v1/models")
        async with service.openai() as openai:
            chat = await openai.chat.completions.create(
                model="groundling:pirate", messages=[{"role": "user", "content": "hello"}]
            )
    assert (made.status_code, made.json()["role"]) == (201, "pirate")
    assert in_it.json()["role"] == named.json()["role"] == "pirate"
    assert by_path.json()["error"]["code"] == "unknown_role"
    assert roles.json()["default"] == "pirate"
    assert {"assistant", "pirate"} <= {role["name"] for role in roles.json()["data"]}
    assert chat.choices[0].finish_reason == "stop"
    assert "my-role" not in roles.text + models.text + by_path.text.replace(path, "")


async def test_an_own_role_with_a_shipped_name_takes_its_place(
    settings_for: Callable[..., Settings], role_file: Callable[[str], str]
):
    async with running(settings_for(role=role_file("assistant"))) as service, service.client() as client:
        roles = (await client.get("/v1/roles")).json()
    assert roles["default"] == "assistant"
    assert [role["persona"] for role in roles["data"] if role["name"] == "assistant"] == [
        "You are a pirate who answers briefly."
    ]


def test_a_name_that_no_conversation_could_hold_ends_the_start(role_file: Callable[[str], str], tmp_path: Path):
    flags = ("--role", role_file("p" * 61), "--port", "0", "--no-auth", "--database", f"sqlite:///{tmp_path / 's.db'}")
    for workers in ("1", "2"):
        shown = CliRunner().invoke(main, ["serve", "--workers", workers, "--engine", "http://127.0.0.1:1", *flags])
        assert shown.exit_code == 1
        assert "name: String should have at most 60 characters, got 'ppp" in shown.output
