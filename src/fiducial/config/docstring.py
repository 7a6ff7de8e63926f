"""What a docstring says of each argument."""

from __future__ import annotations

import re
from collections.abc import Mapping
from inspect import cleandoc

SECTION = re.compile(r"^(\w+):\s*$", re.MULTILINE)  # a heading of Google's style, at the margin
ENTRY = re.compile(r"\*{0,2}(\w+)\s*(\([^)]*\))?\s*:\s*(.*)", re.DOTALL)
SECTIONS = ("Args", "Arguments", "Attributes", "Parameters")


def meanings(docstring: str | None) -> Mapping[str, str]:
    """Return the text on each argument, in one line, from the sections of Google's style."""
    text = cleandoc(docstring or "")
    if SECTION.match(text):  # there is nothing in front of the heading, and what it heads was taken for the margin
        heading, *lines = text.splitlines()
        text = "\n".join([heading, *(f"    {line}" for line in lines)])
    parts = SECTION.split(text)
    found: dict[str, str] = {}
    for heading, body in zip(parts[1::2], parts[2::2], strict=True):
        if heading in SECTIONS:
            entries = (ENTRY.fullmatch(entry) for entry in _entries(body))
            found |= {entry[1]: re.sub(r"\s+", " ", entry[3]).strip() for entry in entries if entry}
    return found


def _entries(body: str) -> list[str]:
    """Split a section where a line begins as far left as its first one; it ends at a line further left."""
    lines = [line for line in body.splitlines() if line.strip()]
    margin = _indent(lines[0]) if lines else 0
    entries: list[str] = []
    for line in lines:
        if _indent(line) < margin or margin == 0:
            break
        if _indent(line) == margin:
            entries.append(line.strip())
        else:
            entries[-1] += f" {line.strip()}"
    return entries


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
