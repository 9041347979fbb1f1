"""Writes docs/settings.md from the settings themselves: ``python scripts/settings_doc.py [--check]``."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

from workload_api.settings import Settings

FILE = Path(__file__).parents[1] / "docs" / "settings.md"
HEAD = """# Settings

Each is read from the environment with the prefix `WORKLOAD_API_`; the most used ones are options of
`workload-api serve` too (`workload-api serve --help`). Durations are seconds (`2.5`), a number with a unit (`ms`, `s`,
`m`, `h`, `d`) or ISO 8601 (`PT8H`). A value that cannot be used stops the start with one sentence that names it.

| name | default | meaning |
| --- | --- | --- |
"""


def shown(value: object) -> str:
    """A default as a person would write it."""
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
        for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
            if seconds >= size and seconds % size == 0:
                return f"`{seconds / size:g}{unit}`"
        return f"`{seconds:g}s`"
    return "" if value is None else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def table() -> str:
    """The whole page."""
    rows = [
        f"| `{name.upper()}` | {shown(field.default)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    if "--check" in sys.argv:
        if FILE.read_text() != table():
            sys.exit("docs/settings.md is out of date: run python scripts/settings_doc.py")
    else:
        FILE.write_text(table())
