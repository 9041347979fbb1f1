"""The examples of a page: its shell blocks, with the answers that it shows below them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.docs.notation import Answer, read_answer

ROOT: Final = Path(__file__).parents[2]
SHOWN_BASE: Final = "http://127.0.0.1:8080"
"""The server's address as pages show it."""

_HEADING: Final = re.compile(r"(#{1,6}) (.+)")
_FENCE: Final = re.compile(r"```(\w*)")
_EXPORTED: Final = re.compile(r"(export DATAROBOT_\w+=\S+\n?)+")


@dataclass(frozen=True, slots=True)
class Example:
    """A shell block.

    Attributes:
        page: The page's name.
        line: Where the block begins.
        headings: The headings that it stands under, the innermost last.
        commands: What is to be pasted.
        answer: What the last ``curl`` in it is answered, where the page shows that.
    """

    page: str
    line: int
    headings: tuple[str, ...]
    commands: str
    answer: Answer | None

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        return f"{self.page}:{self.line} ({self.headings[-1] if self.headings else 'top'})"


def examples(page: str, under: str | None = None) -> list[Example]:
    """The shell blocks of a page in their order, without the lines that ``make run`` prints.

    Args:
        page: Its path in the repository.
        under: Only those under this heading.

    Raises:
        ValueError: An answer stands there that follows no shell block, or cannot be read.
    """
    found: list[Example] = []
    headings: list[tuple[int, str]] = []
    lines = iter(enumerate((ROOT / page).read_text().splitlines(), 1))
    for number, line in lines:
        if heading := _HEADING.fullmatch(line):
            headings = [each for each in headings if each[0] < len(heading[1])]
            headings.append((len(heading[1]), heading[2]))
        if not (fence := _FENCE.fullmatch(line)):
            continue
        content: list[str] = []
        for _, inner in lines:
            if inner == "```":
                break
            content.append(inner)
        text = "\n".join(content) + "\n"
        names = tuple(name for _, name in headings)
        if under is not None and under not in names:
            continue
        if fence[1] == "sh" and not _EXPORTED.fullmatch(text):
            found.append(Example(page, number, names, text, None))
        elif fence[1] == "http":
            if not found or found[-1].answer is not None or found[-1].headings != names:
                raise ValueError(f"{page}:{number}: no command stands above this answer")
            last = found.pop()
            try:
                answer = read_answer(text)
            except ValueError as error:
                raise ValueError(f"{page}:{number}: {error}") from None
            found.append(Example(page, last.line, names, last.commands, answer))
    return found


def headings(page: str) -> list[str]:
    """The headings of a page in their order."""
    text = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE)
    return [line.lstrip("#").strip() for line in text.splitlines() if _HEADING.fullmatch(line)]
