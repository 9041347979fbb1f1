"""Which headers pass the endpoint, which do not, and which are added (§9; RFC 9110 §7.6.1, RFC 7239)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from multidict import CIMultiDict
from starlette.types import Scope

_HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
# `Host` becomes the replica's address, `Authorization` is ours, `Expect` is answered by the server; the others are
# sent on with what we add to them.
_NOT_FORWARDED: Final = _HOP_BY_HOP | {
    b"authorization",
    b"expect",
    b"forwarded",
    b"host",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-prefix",
    b"x-forwarded-proto",
    b"x-request-id",
}
_BODILESS: Final = frozenset({204, 304})
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def first(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """The first header of that (lower-case) name."""
    for key, value in headers:
        if key == name:
            return value
    return None


def named_in_connection(headers: Iterable[tuple[bytes, bytes]]) -> frozenset[bytes]:
    """The headers that ``Connection`` says are for the next hop alone."""
    found: set[bytes] = set()
    for key, value in headers:
        if key.lower() == b"connection":
            found.update(token.strip().lower() for token in value.split(b","))
    return frozenset(found - {b"", b"close", b"keep-alive"})


def has_body(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Tell whether a request bears a body (RFC 9112 §6): an empty one counts as none."""
    for key, value in headers:
        if key == b"transfer-encoding" or (key == b"content-length" and value.strip(b" \t0") != b""):
            return True
    return False


def request_headers(scope: Scope, prefix: str) -> CIMultiDict[str]:
    """The headers for a replica, from those of the client.

    Args:
        scope: The client's request; ``request_id`` in it, where there is one, is sent on.
        prefix: The part of the path that was stripped.
    """
    headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
    for_next_hop = named_in_connection(headers)
    chunked = first(headers, b"transfer-encoding") is not None
    passed: CIMultiDict[str] = CIMultiDict()
    given: dict[bytes, list[str]] = {}
    for key, value in headers:
        if key in _NOT_FORWARDED:
            given.setdefault(key, []).append(_text(value))
        elif key not in for_next_hop and not (chunked and key == b"content-length"):
            passed.add(key.decode("latin-1"), _text(value))
    client = scope.get("client")
    address = client[0] if client else "unknown"
    host = given.get(b"host", [""])[0]
    hops = ", ".join(given.get(b"x-forwarded-for", ()))
    # A server that trusts its proxy may have taken the client's address from the header: name it once.
    if hops.rpartition(",")[2].strip() != address:
        hops = f"{hops}, {address}" if hops else address
    passed.add("x-forwarded-for", hops)
    passed.add("x-forwarded-proto", _earliest(given.get(b"x-forwarded-proto")) or scope["scheme"])
    if forwarded_host := _earliest(given.get(b"x-forwarded-host")) or host:
        passed.add("x-forwarded-host", forwarded_host)
    passed.add("x-forwarded-prefix", _earliest(given.get(b"x-forwarded-prefix"), "") + prefix)
    ours = [f"for={_quoted(f'[{address}]' if ':' in address else address)}", f"proto={scope['scheme']}"]
    if host:
        ours.insert(1, f"host={_quoted(host)}")
    passed.add("forwarded", ", ".join([*given.get(b"forwarded", ()), ";".join(ours)]))
    if request_id := scope.get("request_id"):
        passed.add("x-request-id", request_id)
    return passed


def response_headers(status: int, headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers for the client, from those of a replica; names in lower case, as ASGI wants them."""
    for_next_hop = named_in_connection(headers)
    # The length of a body that there is not would keep the server waiting for it.
    without_length = status in _BODILESS
    return [
        (name, value)
        for name, value in ((key.lower(), value) for key, value in headers)
        if name not in _HOP_BY_HOP and name not in for_next_hop and not (without_length and name == b"content-length")
    ]


def is_bodiless(method: str, status: int) -> bool:
    """Tell whether an answer has no body, whatever its headers say (RFC 9112 §6.3)."""
    return method == "HEAD" or status in _BODILESS


def _text(value: bytes) -> str:
    """A value as text that is sent as the same bytes again, as long as they are UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _earliest(values: list[str] | None, default: str | None = None) -> str:
    return values[0].split(",")[0].strip() if values else default or ""


def _quoted(value: str) -> str:
    if _TOKEN.fullmatch(value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
