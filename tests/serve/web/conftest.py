"""The page in a real Chromium, served by the real application over the scripted decoder."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from serve.settings import Settings, load_settings

from ..api.conftest import SCRIPTED, Running, running
from ..api.conftest import empty_database as empty_database

SHOTS = Path(__file__).resolve().parents[3] / "test-output" / "web"


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's path; installed from the distribution where it is missing and may be."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update"], capture_output=True, check=False)
        packages = ["chromium", "fonts-dejavu-core"]
        subprocess.run(
            ["apt-get", "install", "-y", "--no-install-recommends", *packages], capture_output=True, check=False
        )
        found = shutil.which("chromium")
    if found is None:
        pytest.skip("Chromium is not installed and cannot be (apt-get as root): install `chromium`")
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        browser = await playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def served(tmp_path: Path, empty_database: Path) -> AsyncIterator[Running]:
    shutil.copy(empty_database, tmp_path / "serve.db")
    settings: Settings = load_settings(agent=SCRIPTED, database=f"sqlite:///{tmp_path / 'serve.db'}")
    async with running(settings) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def open_page(browser: Browser, served: Running) -> AsyncIterator[Callable[..., Any]]:
    """Opens the page with the key in the address; fails where the page logs an error or breaks its policy."""
    problems: list[str] = []

    async def open_(width: int = 1280, height: int = 800, key: str | None = None, **options: Any) -> Page:
        context = await browser.new_context(viewport={"width": width, "height": height}, **options)
        page = await context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda entry: problems.append(entry.text) if entry.type == "error" else None)
        await page.goto(f"{served.url}/#key={served.key if key is None else key}")
        return page

    yield open_
    expected = (
        "the server responded with a status of",
        "requires 'TrustedHTML' assignment",
        "net::ERR_INCOMPLETE_CHUNKED_ENCODING",  # of a connection that a test broke
    )
    assert not [problem for problem in problems if not any(known in problem for known in expected)]


async def shot(page: Page, name: str) -> None:
    """Keep a picture as build output."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=str(SHOTS / f"{name}.png"))
