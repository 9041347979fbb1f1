"""How refusals and faults are answered: ``{"detail", "message", "code"}`` (§2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from workload_api.domain.errors import DomainError

log = structlog.get_logger(__name__)

_ECHO_LIMIT = 1000
_MOST_PROBLEMS = 100
_FAULT_ANSWERED = "fault_answered"
_CODES = {400: "BAD_REQUEST", 404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 413: "BODY_TOO_LARGE"}


def error_body(detail: Any, message: str, code: str) -> dict[str, Any]:
    """The body of every answer that is an error."""
    return {"detail": detail, "message": message, "code": code}


def add_error_handlers(app: FastAPI) -> None:
    """Answer domain errors, requests that do not fit their schema, unknown paths and faults in one form."""
    app.add_exception_handler(DomainError, _domain_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(Exception, _fault)


async def _domain_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DomainError)
    return JSONResponse(
        error_body(error.detail, error.message, error.code), status_code=error.status, headers=dict(error.headers)
    )


async def _validation_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    problems = [
        {
            "loc": list(problem["loc"]),
            "msg": str(problem["msg"]).removeprefix("Value error, "),
            "type": problem["type"],
            "input": _echo(problem.get("input")),
        }
        for problem in error.errors()[:_MOST_PROBLEMS]
    ]
    first = problems[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body") or "the body"
    return JSONResponse(error_body(problems, f"{where}: {first['msg']}", "VALIDATION_ERROR"), status_code=422)


def _echo(value: Any) -> Any:
    """What stood there, cut where it is long, and safe to write as JSON."""
    if isinstance(value, str):
        return value[:_ECHO_LIMIT].encode("utf-8", "replace").decode()
    if isinstance(value, bool | int | None):
        return value
    if isinstance(value, float):
        return value if abs(value) < float("inf") else str(value)
    return repr(value)[:_ECHO_LIMIT].encode("utf-8", "replace").decode()


async def _http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    message = {
        404: "There is nothing at this path; /docs lists the operations.",
        405: "This path does not take that method; /docs lists the operations.",
    }.get(error.status_code, str(error.detail))
    headers: Mapping[str, str] | None = error.headers
    if error.status_code == 405 and (methods := _methods_of_path(request)):
        headers = {"Allow": ", ".join(methods)}
    return JSONResponse(
        error_body(message, message, _CODES.get(error.status_code, "HTTP_ERROR")),
        status_code=error.status_code,
        headers=dict(headers) if headers else None,
    )


def _methods_of_path(request: Request) -> list[str]:
    """All methods that a path takes: the framework names those of one operation only (RFC 9110 §15.5.6)."""
    templates: Mapping[str, Mapping[str, Any]] = request.app.openapi()["paths"]
    fitting = [
        template for template in templates if re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), request.url.path)
    ]
    # As the router does: `/workloads/stats` is no id.
    exact = min(fitting, key=lambda template: template.count("{"), default=None)
    return [] if exact is None else [method.upper() for method in templates[exact]]


async def _fault(request: Request, error: Exception) -> JSONResponse:
    log.error("request_failed", method=request.method, path=request.url.path, exc_info=error)
    request.scope[_FAULT_ANSWERED] = True
    message = "The server failed to answer this request; its log tells more under the request id of this answer."
    return JSONResponse(error_body(message, message, "INTERNAL_ERROR"), status_code=500)


class AnsweredFaults:
    """Ends a request whose fault was logged and answered with 500.

    The framework raises the fault once more behind that; the server would log it twice and close the connection, on
    which the client may have sent its next request already.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection event."""
        try:
            await self._app(scope, receive, send)
        except Exception:
            if not scope.get(_FAULT_ANSWERED):
                raise
