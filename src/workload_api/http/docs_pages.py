"""The documentation pages, ``/docs`` and ``/redoc``, and the OpenAPI document as YAML.

Nothing on these pages comes from another host, and their content security policy sees to it: they work with no
internet. The programs on them are those that the package ``fastapi_offline`` carries.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any, Final

import yaml
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

ASSETS: Final = "/docs/assets"
"""Where the pages' programs and styles are served."""

_ICON = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#1f4b99"/>'
    b'<path d="M6 10l4 13 6-11 6 11 4-13" fill="none" stroke="#fff" stroke-width="3" stroke-linejoin="round"/></svg>'
)
_START_SWAGGER = b"""\
const place = document.getElementById("page");
SwaggerUIBundle({
  domNode: place,
  url: place.dataset.openapi,
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  deepLinking: true,
  persistAuthorization: true,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  filter: true,
  validatorUrl: null,
});
"""
_START_REDOC = b"""\
const place = document.getElementById("page");
Redoc.init(place.dataset.openapi, { theme: { typography: {
  fontFamily: "system-ui, sans-serif", headings: { fontFamily: "system-ui, sans-serif" },
} } }, place);
"""
_PACKAGED = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "redoc.standalone.js": "text/javascript",
}
_OWN = {
    "icon.svg": (_ICON, "image/svg+xml"),
    "start-swagger.js": (_START_SWAGGER, "text/javascript"),
    "start-redoc.js": (_START_REDOC, "text/javascript"),
}
# Redoc's search runs in a worker that it makes from a blob. Both programs set styles from within. Nothing else is open.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "worker-src blob:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" type="image/svg+xml" href="{icon}">
{styles}
</head>
<body>
<div id="page" data-openapi="{openapi}"></div>
<noscript>These pages need JavaScript; the document itself is at <a href="{openapi}">{openapi}</a>.</noscript>
{scripts}
</body>
</html>
"""


def add_docs(app: FastAPI) -> None:
    """Serve ``/docs`` (Swagger UI) and ``/redoc``, with everything on them from this server (§11).

    The application must be made with ``docs_url=None`` and ``redoc_url=None``, so that FastAPI's own pages, which load
    from other hosts, are not there.

    Args:
        app: The application whose operations are shown.

    Raises:
        ValueError: The application has no OpenAPI document, or has FastAPI's own pages.
    """
    if app.openapi_url is None or app.docs_url is not None or app.redoc_url is not None:
        raise ValueError("add_docs needs an application with an openapi_url, docs_url=None and redoc_url=None")
    openapi_url = app.openapi_url

    # Not coroutines: the first request reads the assets from the disk.
    def swagger(request: Request) -> Response:
        return _page(request, app.title, openapi_url, ["swagger-ui-bundle.js", "start-swagger.js"], ["swagger-ui.css"])

    def redoc(request: Request) -> Response:
        return _page(request, app.title, openapi_url, ["redoc.standalone.js", "start-redoc.js"], [])

    for slash in ("", "/"):
        app.router.add_route(f"/docs{slash}", swagger, include_in_schema=False)
        app.router.add_route(f"/redoc{slash}", redoc, include_in_schema=False)
    app.router.add_route(ASSETS + "/{name}", _serve_asset, include_in_schema=False)


def add_openapi_yaml(app: FastAPI) -> None:
    """Serve the OpenAPI document as YAML too, beside the JSON one and under the same name (§11).

    Args:
        app: The application; its ``openapi_url`` must end in ``.json``.

    Raises:
        ValueError: It does not.
    """
    if app.openapi_url is None or not app.openapi_url.endswith(".json"):
        raise ValueError("add_openapi_yaml needs an application whose openapi_url ends in .json")

    @cache
    def text() -> str:
        return as_yaml(app.openapi())

    # Not a coroutine: writing a document of this size takes a while, which a thread can do beside other requests.
    def document(_request: Request) -> Response:
        return Response(text(), media_type="application/yaml", headers={"Cache-Control": "no-cache"})

    app.router.add_route(app.openapi_url.removesuffix(".json") + ".yaml", document, include_in_schema=False)


def as_yaml(document: Mapping[str, Any]) -> str:
    """Write a document as YAML: in its own order, letters of every script as they are, and no references."""

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    return yaml.dump(dict(document), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)


def _page(request: Request, title: str, openapi_url: str, scripts: list[str], styles: list[str]) -> Response:
    root: str = request.scope.get("root_path", "").rstrip("/")

    def address(name: str) -> str:
        return escape(f"{root}{ASSETS}/{name}?v={_asset(name)[1]}")

    page = _PAGE.format(
        title=escape(title),
        icon=address("icon.svg"),
        openapi=escape(root + openapi_url),
        styles="\n".join(f'<link rel="stylesheet" href="{address(name)}">' for name in styles),
        scripts="\n".join(f'<script src="{address(name)}"></script>' for name in scripts),
    )
    headers = {
        "Cache-Control": "no-cache",
        "Content-Security-Policy": _POLICY,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return HTMLResponse(page, headers=headers)


@cache
def _asset(name: str) -> tuple[bytes, str, str]:
    """The content of an asset, the digest that stands in its address, and its type."""
    if name in _OWN:
        content, media_type = _OWN[name]
    else:
        content, media_type = (files("fastapi_offline") / "static" / name).read_bytes(), _PACKAGED[name]
    if name == "redoc.standalone.js":
        # A picture from another host, beside the words "API docs by Redocly"; ours takes its place.
        content = content.replace(b'"https://cdn.redoc.ly/redoc/logo-mini.svg"', b"document.querySelector('link').href")
    return content, hashlib.sha256(content).hexdigest()[:16], media_type


def _serve_asset(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _OWN and name not in _PACKAGED:
        return PlainTextResponse("There is no such asset.", status_code=404)
    content, digest, media_type = _asset(name)
    # An address that names the content can be kept for ever; a bare one must be asked for again.
    kept = "public, max-age=31536000, immutable" if request.query_params.get("v") == digest else "no-cache"
    headers = {"Cache-Control": kept, "ETag": f'"{digest}"', "X-Content-Type-Options": "nosniff"}
    if f'"{digest}"' in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)
