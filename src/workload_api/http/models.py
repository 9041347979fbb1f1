"""What all request and answer models have in common.

Requests are read strictly: only the names of the contract, no text where a number is asked for, nothing unknown (§2).
What a client sent can be had back in its own form by ``as_sent()`` (§12).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from types import NoneType
from typing import Annotated, Any, Final, Generic, Self, TypeVar, get_args

from pydantic import (
    AliasGenerator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ModelWrapValidatorHandler,
    PlainSerializer,
    PrivateAttr,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from workload_api.http.as_sent import as_sent

_MOST_LEVELS: Final = 100
_MOST_VALUES: Final = 10_000
"""In a whole body: nobody needs more, and validating 100,000 would keep all other requests waiting for seconds."""
MOST_INTEGER: Final = 2**63 - 1
"""Databases take no greater one."""

_is_checked: ContextVar[bool] = ContextVar("is_checked", default=False)

T = TypeVar("T")


def problem(sentence: str, location: Sequence[str | int] = (), value: Any = None) -> ValidationError:
    """A broken rule at a place inside the object that is being validated; validators raise it.

    Args:
        sentence: One sentence for a person.
        location: The place, as keys and positions of the JSON that was sent.
        value: What stands there.
    """
    error = PydanticCustomError("value_error", "{sentence}", {"sentence": sentence})
    return ValidationError.from_exception_data(
        "request", [InitErrorDetails(type=error, loc=tuple(location), input=value)]
    )


class RequestModel(BaseModel):
    """A part of a request. It bears the contract's names (camelCase) only, and nothing unknown."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        serialize_by_alias=True,
    )

    _sent: dict[str, Any] = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _keep_what_was_sent(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(value, dict | cls):
            raise PydanticCustomError("object_type", "This must be a JSON object.")
        if _is_checked.get():
            model = handler(value)
        else:
            # Once for the whole body: what is inside has been looked at with it.
            token = _is_checked.set(True)
            try:
                _refuse_unstorable(value)
                model = handler(value)
            finally:
                _is_checked.reset(token)
        if isinstance(value, dict):
            model._sent = value
        return model

    def as_sent(self) -> dict[str, Any]:
        """The JSON object that this was read from, as it is stored and given back (§12)."""
        return as_sent(self, self._sent)


class AnswerModel(BaseModel):
    """A part of an answer: made with Python's names, written with the contract's (camelCase)."""

    model_config = ConfigDict(
        alias_generator=AliasGenerator(serialization_alias=to_camel),
        validate_by_name=True,
        extra="forbid",
        serialize_by_alias=True,
    )


class Page(AnswerModel, Generic[T]):
    """A part of a list."""

    count: int = Field(description="How many are on this page.")
    total_count: int = Field(description="How many there are in all.")
    data: list[T]
    next: str | None = Field(description="URL of the next page, if there is one.")
    previous: str | None = Field(description="URL of the page before, if there is one.")


class ValidationProblem(AnswerModel):
    """One place where a request does not fit."""

    loc: list[str | int] = Field(description="Where: `body`, `query` or `path`, then keys and positions.")
    msg: str
    type: str
    input: Any = Field(description="What stood there.")


class ErrorBody(AnswerModel):
    """The body of every answer that is an error."""

    detail: str | list[ValidationProblem]
    message: str = Field(description="One sentence for a person.")
    code: str = Field(description="A stable name for programs.")


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


UtcDatetime = Annotated[
    AwareDatetime,
    PlainSerializer(_rfc3339, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A moment, written in UTC with microseconds and ``Z`` (RFC 3339)."""


def _refuse_number(value: Any) -> Any:
    if isinstance(value, str) and not re.match(r"\d{4}-\d\d-\d\d[T ]", value, re.ASCII | re.IGNORECASE):
        raise ValueError("This must be a date and a time with a zone, as 2026-01-31T12:00:00Z (RFC 3339).")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_refuse_number)]
"""A moment in a query (RFC 3339); a bare number, which might be seconds or milliseconds, is none."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=5000)]
"""The name of an artifact or a workload."""


class DocumentedAs:
    """Metadata of a type whose values are taken and given as they are, while the OpenAPI document shows another type.

    Args:
        shape: The type that is shown: models become components of the document.
    """

    def __init__(self, shape: Any) -> None:
        self._shape = shape

    def __get_pydantic_core_schema__(self, _source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Hold the shape where the document finds it and neither validation nor serialization uses it."""
        return core_schema.no_info_wrap_validator_function(
            lambda value, _handler: value,
            handler.generate_schema(self._shape),
            serialization=core_schema.simple_ser_schema("any"),
        )


class _NotNull:
    """Metadata of ``T | None``: validate and document ``T`` alone, ``None`` being the default only."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        (kind,) = (kind for kind in get_args(source) if kind is not NoneType)
        return core_schema.no_info_before_validator_function(_refuse_null, handler.generate_schema(kind))


def _refuse_null(value: Any) -> Any:
    if value is None:
        raise ValueError("This may be left out, but not be null.")
    return value


AbsentOr = Annotated[T | None, _NotNull()]
"""May be left out (then ``None``), but not be null. Give it ``Field(default_factory=absent)``."""


def absent() -> None:
    """The default of what was left out, without a default in the OpenAPI document."""


def _refuse_unstorable(body: Any) -> None:
    """Let through JSON that can be stored and given back by every database and program.

    Raises:
        ValidationError: It holds a NUL character or half a surrogate pair, an integer beyond 64 bits or a number that
            is not finite, too many values, or is nested too deeply.
    """
    count = 0
    waiting: list[tuple[Any, tuple[str | int, ...]]] = [(body, ())]
    while waiting:
        value, place = waiting.pop()
        if isinstance(value, str):
            if fault := _fault_of_text(value):
                raise problem(f"The text {fault}", place, value)
        elif isinstance(value, dict | list):
            if len(place) >= _MOST_LEVELS:
                raise problem(f"The body is nested more than {_MOST_LEVELS} levels deep.", place[:3])
            if (count := count + len(value)) > _MOST_VALUES:
                raise problem(f"The body holds more than {_MOST_VALUES} values.", place)
            waiting.extend((inner, (*place, key)) for key, inner in _items(value, place))
        elif isinstance(value, int):
            if abs(value) > MOST_INTEGER:
                raise problem("The number is beyond 64 bits.", place)
        elif isinstance(value, float) and not math.isfinite(value):
            raise problem("The number is too large.", place)


def _items(value: Mapping[Any, Any] | Sequence[Any], place: tuple[str | int, ...]) -> Iterator[tuple[Any, Any]]:
    pairs: Iterable[tuple[Any, Any]] = value.items() if isinstance(value, Mapping) else enumerate(value)
    for key, inner in pairs:
        if isinstance(key, str) and (fault := _fault_of_text(key)):
            raise problem(f"A key {fault}", place, key)
        yield key, inner


def _fault_of_text(text: str) -> str | None:
    if "\0" in text:
        return "holds a NUL character (\\u0000), which cannot be stored; leave it out."
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds half of a surrogate pair, which is no character; write both halves or the character itself."
    return None
