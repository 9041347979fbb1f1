"""Fills ``$(NAME)`` in a container's entrypoint from its environment (§9)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_REFERENCE: Final = re.compile(r"\$\$|\$\(([^)]*)\)")


def expand(argument: str, environment: Mapping[str, str]) -> str:
    """Fill in the references of one argument, as Kubernetes does.

    Args:
        argument: One part of an entrypoint.
        environment: The container's variables.

    Returns:
        The argument with each ``$(NAME)`` replaced by the variable's value; values are not searched again. ``$$`` is
        a plain ``$``, so that ``$$(NAME)`` gives ``$(NAME)``. References to unknown names stay as they are.
    """
    return _REFERENCE.sub(
        lambda found: "$" if found[0] == "$$" else environment.get(found[1], found[0]),
        argument,
    )


def references(argument: str) -> frozenset[str]:
    """The names that :func:`expand` would look for in one argument; an escaped ``$$(NAME)`` is none."""
    return frozenset(found[1] for found in _REFERENCE.finditer(argument) if found[0] != "$$")
