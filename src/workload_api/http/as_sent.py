"""Gives back what a client sent in the form and order in which it was sent (§12).

Programs compare what they sent with what they read. So the only things that differ are: documented scalar defaults of
parts that were sent are added behind what was sent, fields that are ignored are left out, and amounts of memory become
bytes. Nothing else is added: no objects, no lists, no nulls.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from enum import Enum
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel


class Keep(Enum):
    """How a field of a request is kept, as metadata of its type: ``Annotated[..., Keep.NOTHING]``."""

    NOTHING = "nothing"
    """Accepted and ignored."""
    EXACTLY = "exactly"
    """As it came, with all that is in it: no defaults are added inside."""
    VALIDATED = "validated"
    """As validation made it: an amount of memory in bytes."""


@runtime_checkable
class _LeavesOut(Protocol):
    def unfilled(self) -> frozenset[str]: ...


def as_sent(model: BaseModel, raw: Mapping[str, Any]) -> dict[str, Any]:
    """Put together what is stored of a request, or of a part of one.

    Args:
        model: What validation made of it. If it has a method ``unfilled()``, the defaults of the fields that this
            names (in Python) are not added.
        raw: The JSON object as it was read, which the model was made of.

    Returns:
        A new JSON object that shares nothing with ``raw``.
    """
    fields = type(model).model_fields
    names = {field.alias or name: name for name, field in fields.items()}
    result: dict[str, Any] = {}
    for key, value in raw.items():
        name = names.get(key)
        if name is None:  # Of an object that takes any further field.
            result[key] = deepcopy(value)
            continue
        how = _how(fields[name].metadata)
        if how is Keep.VALIDATED:
            result[key] = getattr(model, name)
        elif how is Keep.EXACTLY:
            result[key] = deepcopy(value)
        elif how is not Keep.NOTHING:
            result[key] = _part(getattr(model, name), value)
    unfilled = model.unfilled() if isinstance(model, _LeavesOut) else frozenset()
    for key, name in names.items():
        field = fields[name]
        fills = isinstance(field.default, str | int | float) and _how(field.metadata) is None
        if fills and key not in raw and name not in unfilled:
            result[key] = field.default
    return result


def _how(metadata: list[Any]) -> Keep | None:
    return next((word for word in metadata if isinstance(word, Keep)), None)


def _part(validated: Any, raw: Any) -> Any:
    if isinstance(validated, BaseModel) and isinstance(raw, dict):
        return as_sent(validated, raw)
    if isinstance(validated, list) and isinstance(raw, list):
        return [_part(one, sent) for one, sent in zip(validated, raw, strict=True)]
    return deepcopy(raw)
