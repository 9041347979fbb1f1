"""Lists: ``offset`` and ``limit`` in, ``{count, totalCount, data, next, previous}`` out (§2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, Query, Request

from workload_api.http.models import MOST_INTEGER

MAX_LIMIT = 100

Offset = Annotated[int, Query(ge=0, le=MOST_INTEGER, description="How many rows to pass over.")]


class Paging:
    """The part of a list that was asked for.

    Attributes:
        offset: How many rows are passed over.
        limit: How many are given at the most; what was asked above 100 is taken as 100.
    """

    def __init__(self, request: Request, offset: int, limit: int, max_limit: int = MAX_LIMIT) -> None:
        self._request = request
        self.offset = offset
        self.limit = min(limit, max_limit)

    def page(self, data: list[Any], total: int) -> dict[str, Any]:
        """The answer for the rows found and the number of all there are."""
        ahead, behind = self.offset + self.limit, max(0, self.offset - self.limit)
        return {
            "count": len(data),
            "total_count": total,
            "data": data,
            "next": self._at(ahead) if ahead < total else None,
            "previous": self._at(behind) if self.offset > 0 else None,
        }

    def _at(self, offset: int) -> str:
        kept = [(k, v) for k, v in self._request.query_params.multi_items() if k not in ("offset", "limit")]
        query = urlencode([*kept, ("offset", offset), ("limit", self.limit)])
        return f"{client_base_url(self._request)}{self._request.scope['client_path']}?{query}"


def _paging(
    request: Request,
    offset: Offset = 0,
    limit: Annotated[
        int, Query(ge=1, le=MOST_INTEGER, description="How many rows to give; above 100 it is taken as 100.")
    ] = 10,
) -> Paging:
    return Paging(request, offset, limit)


Paged = Annotated[Paging, Depends(_paging)]


def client_base_url(request: Request) -> str:
    """Scheme, host and port as the client used them, also behind a proxy (``Forwarded``, ``X-Forwarded-*``) (§12)."""
    headers = request.headers
    scheme, host = request.url.scheme, headers.get("host") or request.url.netloc
    forwarded = _first_forwarded(headers.get("forwarded"))
    scheme = (forwarded.get("proto") or _first(headers.get("x-forwarded-proto")) or scheme).lower()
    host = forwarded.get("host") or _first(headers.get("x-forwarded-host")) or host
    port = _first(headers.get("x-forwarded-port"))
    if port and port.isdigit() and not re.search(r":\d+$", host):
        host = host if port == {"http": "80", "https": "443"}.get(scheme) else f"{host}:{port}"
    if scheme not in ("http", "https") or not re.fullmatch(r"[A-Za-z0-9.\-_\[\]:]+", host):
        return f"{request.url.scheme}://{request.url.netloc}"
    return f"{scheme}://{host}"


def _first(value: str | None) -> str | None:
    return value.split(",")[0].strip() or None if value else None


def _first_forwarded(value: str | None) -> Mapping[str, str]:
    """The parameters of the first element of a ``Forwarded`` header (RFC 7239)."""
    pairs = (pair.partition("=") for pair in (value or "").split(",")[0].split(";"))
    return {name.strip().lower(): content.strip().strip('"') for name, _, content in pairs if content}


def public_base_url(request: Request, public_url: str | None) -> str:
    """By what address clients reach the server: the setting where there is one, else as the client called it."""
    return public_url or client_base_url(request)
