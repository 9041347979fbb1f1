"""Amounts of memory as clients write them (§4)."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

_POWERS: Final[dict[str, int]] = {
    "B": 1,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "TB": 1000**4,
    "KIB": 1024,
    "MIB": 1024**2,
    "GIB": 1024**3,
    "TIB": 1024**4,
}
_AMOUNT: Final = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*([A-Za-z]*)\s*")
_MOST_CHARACTERS: Final = 100
_MOST_BYTES: Final = 2**63 - 1


def parse_memory(amount: int | str) -> int:
    """Read an amount of memory.

    Args:
        amount: An integer of bytes, or text: a number, whole or with a fraction, and a unit. The units are B, KB, MB,
            GB, TB (powers of 1000) and KiB, MiB, GiB, TiB (powers of 1024), in any letter case; none means bytes.

    Returns:
        Bytes; a fraction of a byte is dropped.

    Raises:
        ValueError: It is negative, not of that form, or beyond 64 bits.
    """
    if isinstance(amount, int):
        size = amount
    else:
        found = _AMOUNT.fullmatch(amount) if len(amount) <= _MOST_CHARACTERS else None
        if found is None:
            raise ValueError(
                f"{amount[:_MOST_CHARACTERS]!r} is not an amount of memory; write an integer of bytes or a number with "
                "a unit, as '512MB' or '1.5GiB'."
            )
        power = _POWERS.get(found[2].upper() or "B")
        if power is None:
            raise ValueError(
                f"{found[2]!r} is not a unit of memory; the units are B, KB, MB, GB, TB, KiB, MiB, GiB and TiB."
            )
        size = int(Fraction(found[1]) * power)
    if size < 0:
        raise ValueError("An amount of memory cannot be negative.")
    if size > _MOST_BYTES:
        raise ValueError(f"An amount of memory is at most {_MOST_BYTES} bytes.")
    return size
