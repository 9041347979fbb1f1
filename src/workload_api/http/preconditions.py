"""``ETag`` and ``If-Match`` (RFC 9110 §8.8.3, §13.1.1)."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Depends, Header, Response

from workload_api.domain.versions import ANY_VERSION, Expected, HasVersion, version_of

_STRONG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')


def etag(resource: HasVersion) -> str:
    """The entity tag of a resource."""
    return f'"{version_of(resource)}"'


def tag(response: Response, resource: HasVersion) -> None:
    """Let an answer bear the entity tag of what it shows."""
    response.headers["ETag"] = etag(resource)


def _if_match(
    if_match: Annotated[
        str | None,
        Header(
            alias="If-Match",
            description="The `ETag` of what you read: 412, and nothing done, if it has changed since. `*` is any.",
        ),
    ] = None,
) -> Expected:
    if if_match is None or if_match.strip() == "*":
        return ANY_VERSION
    # Weak tags never match, as RFC 9110 has it; what is no tag matches nothing either.
    return Expected(frozenset(text for weak, text in _STRONG.findall(if_match) if not weak))


IfMatch = Annotated[Expected, Depends(_if_match)]
"""What the ``If-Match`` header says."""
