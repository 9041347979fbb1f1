"""A headless Chromium for tests of pages."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, Route, async_playwright

from tests.support.programs import chromium

_ARGUMENTS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
]


class Visit:
    """A page and what it did.

    Args:
        page: The page.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.hosts: list[str] = []
        """Host and port of every request that the page made, those that were stopped too."""
        self.complaints: list[str] = []
        """What the browser's console showed as an error: refused by the content security policy, or thrown."""

    def assert_stayed_at(self, url: str) -> None:
        """Assert that the page asked no other host for anything, and that the browser did not complain."""
        assert set(self.hosts) == {urlsplit(url).netloc}
        assert self.complaints == []


@pytest.fixture
async def visit() -> AsyncIterator[Visit]:
    """A fresh page in a browser of its own, from which no request reaches any host but this machine."""
    # Chromium's sandbox does not work for root.
    arguments = [*_ARGUMENTS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=arguments)
        page = await (await browser.new_context()).new_page()
        page.set_default_timeout(20_000)
        made = Visit(page)

        async def only_here(route: Route) -> None:
            address = urlsplit(route.request.url)
            if address.scheme not in ("http", "https"):
                await route.continue_()
                return
            made.hosts.append(address.netloc)
            if address.hostname == "127.0.0.1":
                await route.continue_()
            else:
                await route.abort()

        await page.context.route("**/*", only_here)
        page.on("pageerror", lambda error: made.complaints.append(str(error)))
        page.on("console", lambda line: made.complaints.append(line.text) if line.type == "error" else None)
        yield made
        await browser.close()
