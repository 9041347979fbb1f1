"""The tree of everything that a request can be refused for.

::

    DomainError ─┬─ NotFound            404  not there, or not to be seen by the caller
                 ├─ Unauthenticated     401  no token, or a wrong one
                 ├─ Forbidden           403  to be seen, but not to be done; or over a limit
                 ├─ BadRequest          400  cannot be read, or does not fit together
                 ├─ Conflict            409  not in this state
                 ├─ Stale               412  it has changed since the caller read it
                 ├─ Unprocessable       422  understood, but against a rule
                 │    └─ FieldError     422  … at one place of the request
                 ├─ TooLarge            413  the body is over the limit
                 └─ TryAgain            503  a fault that a retry would mend

Each error knows its HTTP status, a stable code and the sentence for a person; nothing else builds an HTTP error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class DomainError(Exception):
    """A refusal with a sentence for a person.

    Args:
        message: One sentence: what is wrong, with which id, and what to do.
        code: A stable upper-case name; the class's own if not given.
    """

    status: ClassVar[int] = 500
    default_code: ClassVar[str] = "INTERNAL_ERROR"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers that the answer must bear beside its body."""
        return {}

    @property
    def detail(self) -> str | list[dict[str, Any]]:
        """The ``detail`` of the answer: the sentence, or for a field error the list of problems (§2)."""
        return self.message


class NotFound(DomainError):
    """It is not there, or the caller may not see it: the two are not told apart (§2)."""

    status = 404
    default_code = "NOT_FOUND"


class Unauthenticated(DomainError):
    """No token, or one that is not known (§2)."""

    status = 401
    default_code = "UNAUTHENTICATED"

    @property
    def headers(self) -> Mapping[str, str]:
        """Tell the client how to authenticate (RFC 9110 §11.6.1)."""
        return {"WWW-Authenticate": "Bearer"}


class Forbidden(DomainError):
    """The caller may see it but not do this, or a limit is reached (§2)."""

    status = 403
    default_code = "FORBIDDEN"


class BadRequest(DomainError):
    """The request cannot be read, or its parts do not fit together."""

    status = 400
    default_code = "BAD_REQUEST"


class Conflict(DomainError):
    """The thing is not in a state that allows this."""

    status = 409
    default_code = "CONFLICT"


class Stale(DomainError):
    """It is not as the caller has seen it (``If-Match``)."""

    status = 412
    default_code = "PRECONDITION_FAILED"


class Unprocessable(DomainError):
    """Understood, but against a rule."""

    status = 422
    default_code = "UNPROCESSABLE"


class FieldError(Unprocessable):
    """A rule is broken at one place of the request.

    Args:
        message: The sentence.
        location: Where, as in ``("body", "runtime", "containerGroups", 0, "name")``.
        value: What stood there.
    """

    default_code = "VALIDATION_ERROR"

    def __init__(self, message: str, location: Sequence[str | int], value: Any = None) -> None:
        super().__init__(message)
        self.location = tuple(location)
        self.value = value

    @property
    def detail(self) -> list[dict[str, Any]]:
        """The list form of ``detail`` that §2 asks for."""
        return [{"loc": list(self.location), "msg": self.message, "type": "value_error", "input": self.value}]


class TooLarge(DomainError):
    """The body is over the limit."""

    status = 413
    default_code = "BODY_TOO_LARGE"


class TryAgain(DomainError):
    """A passing fault: the same request will go through in a moment.

    Args:
        message: The sentence.
        after_seconds: What ``Retry-After`` says.
        status: 503 by default; 409 while the first request with an idempotency key still runs.
    """

    status = 503
    default_code = "TRY_AGAIN"

    def __init__(self, message: str, *, after_seconds: int = 1, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.after_seconds = after_seconds

    @property
    def headers(self) -> Mapping[str, str]:
        """When to try again."""
        return {"Retry-After": str(self.after_seconds)}


class StillRunning(TryAgain):
    """The first request with this ``Idempotency-Key`` has not ended yet."""

    status = 409
    default_code = "REQUEST_IN_PROGRESS"
