"""The answers that operations declare beside the one that is no error."""

from __future__ import annotations

from typing import Any

from workload_api.http.models import ErrorBody

_MEANING = {
    400: "The request cannot be read, or its parts do not fit together.",
    401: "There is no API token, or it is not known.",
    403: "The caller may see it but not do this, or a limit is reached.",
    404: "It is not there, or not for the caller to see.",
    408: "The body did not arrive in time.",
    409: "It is not in a state that allows this.",
    412: "It has changed since the version that `If-Match` names; nothing was done.",
    413: "The body is too large.",
    415: "The body is compressed (`Content-Encoding`), which is not taken.",
    422: "The request does not fit its schema, or a rule is against it.",
    431: "The headers are too large.",
    503: "A passing fault: try again after the time that `Retry-After` tells.",
}


def refusals(*codes: int) -> dict[int | str, dict[str, Any]]:
    """The declared refusals of an operation: those given, and those that any operation may answer with."""
    return {
        code: {"model": ErrorBody, "description": _MEANING[code]}
        for code in sorted({*codes, 401, 403, 408, 413, 415, 422, 431, 503})
    }
