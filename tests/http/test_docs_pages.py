"""What the documentation pages and their assets answer; how they look is tests/browser's."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx
import pytest
import yaml
from fastapi import FastAPI

from workload_api.http.docs_pages import ASSETS, add_docs, add_openapi_yaml, as_yaml


@pytest.fixture
def app() -> FastAPI:
    """An application with our pages."""
    made = FastAPI(title="A <title>", docs_url=None, redoc_url=None, openapi_url="/api/v2/openapi.json")
    add_docs(made)
    add_openapi_yaml(made)
    return made


@pytest.fixture
async def web(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Its client."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client


@pytest.mark.parametrize("path", ["/docs", "/docs/", "/redoc", "/redoc/"])
async def test_a_page_names_only_its_own_assets(web: httpx.AsyncClient, path: str) -> None:
    page = await web.get(path)
    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-cache"
    assert "script-src 'self';" in page.headers["content-security-policy"]
    assert "A &lt;title&gt;" in page.text
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(addresses) >= 3
    for address in addresses:
        assert address.startswith("/")
        answer = await web.get(address)
        assert answer.status_code == 200
        if address.startswith(ASSETS):
            assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
            again = await web.get(address, headers={"If-None-Match": answer.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")


async def test_an_asset_without_its_digest_is_asked_for_again(web: httpx.AsyncClient) -> None:
    for address in (f"{ASSETS}/swagger-ui.css", f"{ASSETS}/swagger-ui.css?v=0000000000000000"):
        assert (await web.get(address)).headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("name", ["favicon.png", "nothing.js", "..%2fcore.py", "%2e%2e/core.py"])
async def test_nothing_else_is_an_asset(web: httpx.AsyncClient, name: str) -> None:
    assert (await web.get(f"{ASSETS}/{name}")).status_code == 404


async def test_behind_a_prefix(app: FastAPI) -> None:
    transport = httpx.ASGITransport(app, root_path="/prefix")
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        page = (await client.get("/prefix/docs")).text
    assert 'data-openapi="/prefix/api/v2/openapi.json"' in page
    assert f'src="/prefix{ASSETS}/swagger-ui-bundle.js?v=' in page


async def test_yaml_is_the_same_document(web: httpx.AsyncClient) -> None:
    answer = await web.get("/api/v2/openapi.yaml")
    assert answer.headers["content-type"].startswith("application/yaml")
    assert yaml.safe_load(answer.text) == (await web.get("/api/v2/openapi.json")).json()


def test_yaml_keeps_order_and_letters_and_has_no_references() -> None:
    shared = {"größe": [1]}
    assert as_yaml({"b": shared, "a": shared}) == "b:\n  größe:\n  - 1\na:\n  größe:\n  - 1\n"


def test_fastapis_own_pages_are_refused() -> None:
    with pytest.raises(ValueError, match="docs_url=None"):
        add_docs(FastAPI())
