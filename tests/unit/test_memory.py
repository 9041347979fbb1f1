from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workload_api.domain.memory import parse_memory

UNITS = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}


@pytest.mark.parametrize(
    ("amount", "size"),
    [
        (0, 0),
        (536870912, 536870912),
        ("512", 512),
        ("512B", 512),
        ("512MB", 512_000_000),
        ("1.5GB", 1_500_000_000),
        (" .5 GiB ", 536870912),
        ("1gib", 2**30),
        ("1.0009KB", 1000),
        ("0.1TB", 100_000_000_000),
        (2**63 - 1, 2**63 - 1),
    ],
)
def test_amounts(amount: int | str, size: int) -> None:
    assert parse_memory(amount) == size


@given(st.integers(0, 10**5), st.integers(0, 999), st.sampled_from(sorted(UNITS)))
def test_every_unit_is_exact_to_the_byte(whole: int, thousandths: int, unit: str) -> None:
    exact = (whole + Fraction(thousandths, 1000)) * UNITS[unit]
    assert parse_memory(f"{whole}.{thousandths:03}{unit}") == exact // 1


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        ("5 XB", "'XB' is not a unit"),
        ("1Gi", "'Gi' is not a unit"),
        ("", "not an amount"),
        ("GB", "not an amount"),
        ("1.2.3GB", "not an amount"),
        ("-1GB", "not an amount"),
        ("1GB and more", "not an amount"),
        ("٣GB", "not an amount"),
        ("1e3MB", "not an amount"),
        ("9" * 5000, "not an amount"),
        (-1, "negative"),
        (2**63, "at most"),
        ("99999999TB", "at most"),
    ],
)
def test_anything_else_is_refused_in_a_sentence(amount: int | str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as refusal:
        parse_memory(amount)
    assert len(str(refusal.value)) < 300
