"""The documentation pages in a real browser: they work with no internet, and "Try it out" does the real thing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Annotated, Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Security
from fastapi.security import HTTPBearer
from playwright.async_api import expect

from tests.browser.conftest import Visit
from tests.support.payloads import workload
from tests.support.ports import free_port
from tests.support.server import ServerProcess
from tests.support.waiting import until
from workload_api.http.docs_pages import add_docs, add_openapi_yaml

pytestmark = pytest.mark.browser

BEARER = HTTPBearer(scheme_name="Token")


def small_app() -> FastAPI:
    """An application with a few operations and our pages."""
    app = FastAPI(title="Kleine <Überraschung>", docs_url=None, redoc_url=None, openapi_url="/api/v2/openapi.json")

    @app.get("/api/v2/things/{thing_id}", summary="Read a thing", tags=["Things"])
    async def read_thing(thing_id: int, token: Annotated[Any, Security(BEARER)]) -> dict[str, Any]:
        """Reads **one** thing: `thing`."""
        return {"thing": thing_id, "token": token.credentials}

    add_docs(app)
    add_openapi_yaml(app)
    return app


@pytest.fixture
def small_url() -> Iterator[str]:
    """The address of :func:`small_app`, served."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(small_app(), port=port, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


async def serving(url: str) -> None:
    """Wait until something listens there."""
    async with httpx.AsyncClient(trust_env=False) as client:

        async def answers() -> bool:
            try:
                return (await client.get(f"{url}/api/v2/openapi.json")).status_code == 200
            except httpx.TransportError:
                return False

        await until(answers)


async def authorize(visit: Visit, token: str) -> None:
    """Give Swagger UI the token."""
    page = visit.page
    await page.locator(".auth-wrapper .authorize").first.click()
    await page.locator(".auth-container input").fill(token)
    await page.locator(".auth-btn-wrapper .authorize").click()
    await page.locator(".auth-btn-wrapper .btn-done").click()


async def test_docs_try_it_out_and_ask_no_other_host(small_url: str, visit: Visit) -> None:
    await serving(small_url)
    page = visit.page
    await page.goto(f"{small_url}/docs")
    await expect(page.locator(".info .title")).to_contain_text("Kleine <Überraschung>")
    await expect(page).to_have_title("Kleine <Überraschung>")
    await authorize(visit, "a-token")
    operation = page.locator(".opblock", has_text="Read a thing")
    await operation.locator(".opblock-summary-control").click()
    await operation.locator("input[placeholder=thing_id]").fill("17")
    await operation.locator(".btn.execute").click()
    answer = operation.locator(".live-responses-table .response")
    await expect(answer.locator(".response-col_status")).to_contain_text("200")
    await expect(answer.locator(".response-col_description").first).to_contain_text('"thing": 17')
    await expect(answer.locator(".response-col_description").first).to_contain_text('"token": "a-token"')
    # The address names the operation (deep links), and the token is still known after a reload.
    assert page.url.endswith("#/Things/read_thing_api_v2_things__thing_id__get")
    await page.reload()
    await expect(page.locator(".auth-wrapper .authorize.locked").first).to_be_visible()
    visit.assert_stayed_at(small_url)


async def test_redoc_asks_no_other_host(small_url: str, visit: Visit) -> None:
    await serving(small_url)
    page = visit.page
    await page.goto(f"{small_url}/redoc/")
    await expect(page.locator("h1", has_text="Kleine")).to_be_visible()
    await expect(page.locator("h2", has_text="Read a thing")).to_be_visible()
    # The search works in a worker, which the policy has to allow.
    await page.locator("input[role=search], .search-input").first.fill("thing")
    await expect(page.locator("[data-role='search:results']")).to_contain_text("Read a thing")
    visit.assert_stayed_at(small_url)


async def test_promote_by_try_it_out(server: ServerProcess, client: httpx.AsyncClient, visit: Visit) -> None:
    made = await client.post("/workloads", json=workload("promoted by hand"))
    assert made.status_code == 201, made.text
    workload_id = made.json()["id"]

    async def runs() -> bool:
        return bool((await client.get(f"/workloads/{workload_id}")).json()["status"] == "running")

    await until(runs)
    page = visit.page
    await page.goto(f"{server.url}/docs")
    await authorize(visit, server.token)
    operation = page.locator(".opblock-post", has_text="/promote")
    await operation.locator(".opblock-summary-control").click()
    await operation.locator("input[placeholder=workload_id]").fill(workload_id)
    await operation.locator(".btn.execute").click()
    await expect(operation.locator(".live-responses-table .response-col_status").nth(1)).to_contain_text("202")
    visit.assert_stayed_at(server.url)
    artifact_id = (await client.get(f"/workloads/{workload_id}")).json()["artifactId"]
    artifact = (await client.get(f"/artifacts/{artifact_id}")).json()
    assert (artifact["status"], artifact["version"]) == ("locked", 1)


async def test_a_workload_by_try_it_out_as_it_is_filled_in(
    server: ServerProcess, client: httpx.AsyncClient, visit: Visit
) -> None:
    page = visit.page
    await page.goto(f"{server.url}/docs")
    await authorize(visit, server.token)
    operation = page.locator(".opblock-post", has_text="Create a workload")
    await operation.locator(".opblock-summary-control").click()
    await operation.locator(".btn.execute").click()
    await expect(operation.locator(".live-responses-table .response-col_status").nth(1)).to_contain_text("201")
    (made,) = (await client.get("/workloads")).json()["data"]

    async def runs() -> bool:
        return bool((await client.get(f"/workloads/{made['id']}")).json()["status"] == "running")

    await until(runs)
