"""Apertium: marks and chains with a scripted runner; real translations, the server and its end where installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolset.translator.apertium import Apertium, Pivot, installed_pairs, read_marks, run_subprocess, safe_input
from toolset.translator.apy import ApyServer, _interpreter
from toolset.translator.backend import BackendError

HERE = installed_pairs() if shutil.which("apertium") else {}
DIRECT = [
    (a, b)
    for pair in ("en-es", "en-ca", "en-gl", "en-eo", "es-fr", "es-pt", "es-it", "ca-fr")
    for a, b in (pair.split("-"), reversed(pair.split("-")))
]

needs_apertium = pytest.mark.skipif(
    not {("en", "es"), ("es", "en"), ("es", "fr")} <= set(HERE),
    reason="skipped: translation by Apertium (apt-get install apertium apertium-eng-spa apertium-fr-es)",
)
needs_server = pytest.mark.skipif(
    not shutil.which("apertium-apy"), reason="skipped: the long-lived apertium-apy (apt-get install apertium-apy)"
)
HOSTILE = [
    "$(touch /tmp/x); `id` | cat && rm -rf ~",
    "-l --help -d /etc",
    "*good @house #dog ^a/b<n>$ [x] {y} \\ / <b>hi</b> &amp;",
    "[<STREAMCMD:SETVAR:x>] [/NONCE:abc] ]] [[t:b:1]]",
    "eng|spa&langpair=spa|eng&q=x%00%0a",
    "\u202edlrow olleh\u202c \ufffd \ud7ff 🏠",
]


@pytest.fixture(scope="module")
def server() -> Iterator[ApyServer]:
    server = ApyServer()
    yield server
    server.close()


# --- marks


@pytest.mark.parametrize(
    ("output", "text", "unknown", "confidence"),
    [
        ("buenos días", "buenos días", (), 1.0),
        ("la casa *xyzzy", "la casa xyzzy", ("xyzzy",), 2 / 3),
        ("la @house roja", "la house roja", ("house",), 2 / 3),
        ("la #casar roja rota", "la casar roja rota", (), 7 / 8),
        ("a@b.org C# 2*3", "a@b.org C# 2*3", (), 1.0),
        ("*foo-bar *l'eau", "foo-bar l'eau", ("foo-bar", "l'eau"), 0.0),
        ("", "", (), 0.0),
        ("¿?", "¿?", (), 0.0),
    ],
)
def test_marks_are_taken_out_and_counted(output: str, text: str, unknown: tuple, confidence: float) -> None:
    marked = read_marks(output)
    assert (marked.text, marked.unknown) == (text, unknown)
    assert marked.confidence == pytest.approx(confidence)


@pytest.mark.parametrize(
    ("text", "safe"),
    [("a *b @c #d", "a b c d"), ("me@x.org and C#", "me@x.org and C#"), ("2*3", "2 3"), ("#@#x", "x"), ("***", "")],
)
def test_marks_of_the_user_do_not_reach_apertium(text: str, safe: str) -> None:
    assert safe_input(text) == safe


# --- pairs and chains, by a scripted runner


def write_modes(folder: Path, *modes: str) -> Path:
    (folder / "modes").mkdir()
    for mode in modes:
        (folder / "modes" / f"{mode}.mode").write_text("", encoding="utf-8")
    return folder


def test_pairs_are_read_from_the_mode_files(tmp_path: Path) -> None:
    data = write_modes(
        tmp_path, "eng-spa", "spa-eng_US", "spa-eng", "es-pt_BR", "eo-en-bytecode", "x-y", "xx-yy", "nothing"
    )
    assert installed_pairs(data) == {("en", "es"): "eng-spa", ("es", "en"): "spa-eng", ("es", "pt"): "es-pt_BR"}
    assert installed_pairs(tmp_path / "missing") == {}


@pytest.fixture
def scripted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Apertium:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    words = {
        ("eng-spa", "house"): "casa",
        ("es-fr", "casa"): "maison",
        ("eng-spa", "big xyzzy house"): "gran *xyzzy casa",
        ("es-fr", "gran xyzzy casa"): "grande *xyzzy maison",
    }
    return Apertium(lambda mode, text: words[mode, text], data=write_modes(tmp_path, "eng-spa", "es-fr"))


def test_french_from_english_goes_by_way_of_spanish_and_is_labelled_rough(scripted: Apertium) -> None:
    assert scripted.translate("house", "en", "fr") is None
    found = Pivot(scripted).translate("house", "en", "fr")
    assert found is not None
    assert (found.text, found.note) == ("maison", "rough, by way of Spanish")
    assert found.backend == "Apertium eng-spa and es-fr"
    direct = scripted.translate("house", "en", "es")
    assert direct is not None
    assert found.confidence < direct.confidence


def test_an_unknown_word_is_named_once_and_lowers_the_confidence(scripted: Apertium) -> None:
    found = Pivot(scripted).translate("big xyzzy house", "en", "fr")
    assert found is not None
    assert found.unknown == ("xyzzy",)
    assert found.confidence < 0.5
    assert not Pivot(scripted).supports("en", "es")


def test_without_apertium_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    assert Apertium().translate("house", "en", "es") is None
    assert "apt-get install" in Apertium().status()
    with pytest.raises(BackendError, match="apt-get install"):
        run_subprocess("eng-spa", "house")
    with pytest.raises(BackendError, match="apt-get install"):
        ApyServer()("eng-spa", "house")


# --- the real thing


@needs_apertium
@pytest.mark.parametrize(("source", "target"), DIRECT, ids=lambda code: code)
def test_each_direct_pair_translates_a_word(server: ApyServer, source: str, target: str) -> None:
    house = {
        "en": "house",
        "es": "casa",
        "ca": "casa",
        "gl": "casa",
        "eo": "domo",
        "fr": "maison",
        "pt": "casa",
        "it": "casa",
    }
    if (source, target) not in HERE:
        pytest.skip(f"skipped: the Apertium pair {source}-{target} is not installed")
    found = Apertium(server).translate(house[source], source, target)
    assert found is not None
    assert found.text.lower().removeprefix("a ") in (house[target], "home")


@needs_apertium
def test_server_and_process_agree(server: ApyServer) -> None:
    for text in ("The house is red and the cat sleeps.", "good morning Groundling", "Where do you live? I live here."):
        assert server("eng-spa", text) == run_subprocess("eng-spa", text)


@needs_apertium
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_only_text(server: ApyServer, text: str, tmp_path: Path) -> None:
    for run in (server, run_subprocess):
        found = Apertium(run).translate(text, "en", "es")
        assert found is None or found.text
    assert server("eng-spa", "good morning") == "buenos días"  # and what follows is not mixed up with it


@needs_apertium
def test_a_process_that_takes_too_long_is_ended() -> None:
    with pytest.raises(BackendError, match=r"took longer than 0\.001 s"):
        run_subprocess("eng-spa", "good morning", timeout=0.001)


@needs_apertium
def test_many_threads_share_one_server(server: ApyServer) -> None:
    words = {"house": "casa", "dog": "perro", "book": "libro", "water": "agua", "milk": "leche", "red": "rojo"}
    backend, wrong = Apertium(server), []

    def ask(word: str, expected: str) -> None:
        for _ in range(5):
            found = backend.translate(word, "en", "es")
            if found is None or found.text != expected:
                wrong.append((word, found))

    threads = [threading.Thread(target=ask, args=pair) for pair in words.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@needs_apertium
@needs_server
def test_the_server_listens_on_loopback_only_and_serves_nothing_but_translations(server: ApyServer) -> None:
    assert server("eng-spa", "house")
    client = server._client
    assert client is not None
    assert client.base_url.host == "127.0.0.1"
    assert client.get("/translatePage", params={"langpair": "eng|spa", "url": "http://127.0.0.1/"}).status_code == 404
    assert client.get("/listPairs").status_code == 404
    port = f"{client.base_url.port:04X}"
    listening = [
        line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if line.split()[3] == "0A"
    ]
    assert [address for address in listening if address.endswith(f":{port}")] == [f"0100007F:{port}"]


@needs_apertium
@needs_server
def test_a_killed_server_is_noticed_and_its_work_done_by_a_process() -> None:
    server = ApyServer()
    assert server("eng-spa", "house").lower() == "casa"
    assert server.running
    assert server._process is not None
    server._process.kill()
    server._process.wait()
    assert server("eng-spa", "dog").lower() == "perro"  # a new server, or a process
    server.close()
    assert not server.running
    assert server("eng-spa", "book").lower() == "libro"  # closed: by a process
    assert not server.running


@needs_apertium
@needs_server
def test_the_server_does_not_outlive_a_process_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import os, signal\nfrom toolset.translator.apy import ApyServer\ns = ApyServer()\ns('eng-spa', 'house')\n"
        "print(s._process.pid, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    server = Path("/proc") / done.stdout.strip()
    assert done.stdout.strip().isdigit()
    deadline = time.monotonic() + 5
    while _alive(server) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(server)


def _alive(process: Path) -> bool:
    try:
        return (process / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:  # it went while it was read
        return False


@needs_apertium
def test_a_server_that_does_not_start_is_replaced_by_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "apertium-apy"
    broken.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('broken')\n", encoding="utf-8")
    broken.chmod(0o755)
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: str(broken) if name == "apertium-apy" else which(name))
    server = ApyServer()
    assert server("eng-spa", "house").lower() == "casa"
    assert not server.running
    server.close()


@pytest.mark.parametrize(
    ("first", "found"),
    [(f"#!{sys.executable}", True), ("#!/usr/bin/env python3", True), ("#!/bin/sh", False), ("", False)],
)
def test_the_interpreter_of_an_installed_script_is_found(tmp_path: Path, first: str, found: bool) -> None:
    script = tmp_path / "apertium-apy"
    script.write_text(f"{first}\n", encoding="utf-8")
    assert (_interpreter(str(script)) is not None) is found
