"""A real Chromium for the pages that people open: the system's, offline, and one for all tests of a worker."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Request, ViewportSize, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="package")  # what runs after them is to find no event loop running
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        assert not os.environ.get("CI"), "the browser tests need Chromium, and CI has none: see `make browser`"
        pytest.skip(f"no {', '.join(NAMES)} on the PATH; `make browser` installs one where it can")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield opened
        opened.close()


@dataclass
class Sight:
    """A page and all that it did besides being looked at."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def asked(self, request: Request) -> None:
        self.requests.append(request.url)

    def heard(self, said: ConsoleMessage) -> None:
        if said.type == "error":
            self.complaints.append(said.text)

    def failed(self, error: Error) -> None:
        self.complaints.append(str(error))


Look = Callable[..., AbstractContextManager[Sight]]


@pytest.fixture
def look(browser: Browser) -> Look:
    """Open an address: every request it makes and everything it complains of is kept."""

    @contextmanager
    def opened(address: str | Path, width: int = 1100, height: int = 900, scheme: str = "light") -> Iterator[Sight]:
        size: ViewportSize = {"width": width, "height": height}
        page = browser.new_page(viewport=size, color_scheme="dark" if scheme == "dark" else "light")
        sight = Sight(page)
        page.on("request", sight.asked)
        page.on("console", sight.heard)
        page.on("pageerror", sight.failed)
        page.goto(address.as_uri() if isinstance(address, Path) else address)
        try:
            yield sight
        finally:
            page.close()

    return opened
