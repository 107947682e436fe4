"""`groundling serve` and `groundling keys` as commands: settings, the first key, drain, workers that die."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from serve.cli.main import main
from serve.errors import SettingsError
from serve.settings import load_settings

from .conftest import Command
from .postgres import Postgres

Start = Callable[..., Command]


def post(command: Command, message: str, **body: object) -> httpx.Response:
    headers = {"Authorization": f"Bearer {command.key}"}
    return httpx.post(f"{command.url}/v1/turns", json={"message": message, **body}, headers=headers, timeout=30)


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "serve.toml"
    file.write_text('port = 1\nmax_queue = 2\nrole = "everest"\ncors_origins = ["https://a.example"]\n')
    monkeypatch.setenv("GROUNDLING_PORT", "3")
    monkeypatch.setenv("GROUNDLING_MAX_QUEUE", "4")
    settings = load_settings(file, port=5)
    assert (settings.port, settings.max_queue, settings.role) == (5, 4, "everest")
    assert settings.cors_origins == ("https://a.example",)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"port": 70_000}, "setting port 70000"),
        ({"database": "mysql://root:hunter2@db/x"}, "setting database: use sqlite"),
        ({"database": "sqlite:///:memory:"}, "setting database: use sqlite"),
        ({"cors_origins": ("*",)}, "must name origins"),
        ({"max_queue": -1}, "setting max_queue -1"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_and_no_secret_is_shown(given: dict, message: str):
    with pytest.raises(SettingsError) as caught:
        load_settings(**given)
    assert message in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "given", "printed"),
    [
        ("database", "postgresql://me:hunter2@db/groundling", "postgresql://me:***@db/groundling"),
        ("database", "postgresql://db/g?user=me&password=hunter2", "postgresql://db/g?password=***&user=me"),
        ("database", "postgresql://db/g?sslPassword=hunter2&ssl=1", "postgresql://db/g?ssl=1&sslPassword=***"),
        ("engine", "http://me:hunter2@gpu:8001/v1", "http://***@gpu:8001/v1"),
        ("engine", "http://hunter2@gpu:8001", "http://***@gpu:8001"),
        ("engine", "http://me:hun/ter2@gpu:8001", "http://***@gpu:8001"),
        ("engine", "https://gpu/v1?api_key=hunter2", "https://gpu/v1?***"),
        ("engine", "transformers", "transformers"),
    ],
)
def test_settings_are_shown_without_secrets(setting: str, given: str, printed: str):
    shown = CliRunner().invoke(main, ["serve", "--show-settings", "--json", f"--{setting}", given])
    assert json.loads(shown.stdout)[setting] == printed
    assert "ter2" not in shown.output


@pytest.mark.parametrize(
    ("given", "warned"),
    [
        ({"workers": 3}, True),
        ({"workers": 3, "engine": "vllm"}, True),
        ({"workers": 3, "engine": "http://127.0.0.1:8001"}, False),
        ({"workers": 3, "agent": "mine:agent"}, False),
        ({"workers": 1}, False),
    ],
)
def test_several_copies_of_a_model_are_warned_of_with_the_remedy(given: dict, warned: bool):
    warnings = load_settings(**given).warnings()
    assert bool(warnings) == warned
    if warned:
        flags = [part for name, value in given.items() for part in (f"--{name}", str(value))]
        shown = CliRunner().invoke(main, ["serve", "--show-settings", *flags])
        assert "3 copies in memory" in shown.stderr
        assert "`vllm serve MODEL`" in shown.stderr
        assert json.loads(shown.stdout)["workers"] == 3


def test_keys_are_created_listed_and_revoked_by_command(tmp_path: Path):
    def keys(*arguments: str) -> dict:
        made = CliRunner().invoke(main, ["keys", "--database", f"sqlite:///{tmp_path / 'k.db'}", *arguments, "--json"])
        assert made.exit_code == 0, made.output
        return json.loads(made.stdout)

    made = keys("create", "--name", "shop", "--requests-per-minute", "60")
    assert made["key"].startswith(f"gl_{made['id']}_")
    assert [key["name"] for key in keys("list")["keys"]] == ["shop"]
    assert "key" not in keys("list")["keys"][0]
    keys("revoke", made["id"])
    assert keys("list")["keys"][0]["revoked"]
    again = CliRunner().invoke(main, ["keys", "--database", f"sqlite:///{tmp_path / 'k.db'}", "revoke", made["id"]])
    assert again.exit_code == 1
    assert len(again.output.strip().splitlines()) == 1


def test_the_command_serves_shows_a_first_key_once_and_drains_on_sigterm(command: Start):
    first = command()
    assert first.key.startswith("gl_")
    answers: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: answers.append(post(first, "slow 1.5")))
    asking.start()
    time.sleep(0.6)
    assert first.stop() == 0
    asking.join()
    assert answers[0].status_code == 200
    assert first.key not in first.log.read_text()

    second = command()  # the database has a key now, and the turn
    assert second.key is None
    second.key = first.key
    read = httpx.get(
        f"{second.url}/v1/turns/{answers[0].json()['id']}", headers={"Authorization": f"Bearer {first.key}"}
    )
    assert read.status_code == 200
    assert second.stop(signal.SIGINT) == 0


def test_a_port_in_use_and_an_agent_that_cannot_be_made_are_one_clear_line(command: Start):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        taken = CliRunner().invoke(main, ["serve", "--port", str(port)])
    assert taken.exit_code == 1
    assert f"cannot listen on 127.0.0.1:{port}" in taken.output
    with pytest.raises(AssertionError, match=r"groundling: setting agent 'nowhere:agent'"):
        command(GROUNDLING_AGENT="nowhere:agent")


@pytest.mark.slow
def test_workers_share_a_postgresql_and_are_started_again_when_killed(command: Start, postgres: Postgres):
    postgres.wipe()
    served = command("--workers", "2", "--database", postgres.url)
    turn = post(served, "say hello").json()
    before = served.workers()
    assert len(before) == 2
    os.kill(before[0], signal.SIGKILL)
    deadline = time.monotonic() + 30
    while len(set(served.workers()) - set(before)) < 1 and time.monotonic() < deadline:
        time.sleep(0.2)
    headers = {"Authorization": f"Bearer {served.key}"}
    for _ in range(10):
        assert httpx.get(f"{served.url}/v1/turns/{turn['id']}", headers=headers).status_code == 200
    assert "groundling_turns_total" in httpx.get(f"{served.url}/metrics", headers=headers).text
    assert served.stop() == 0
