"""How numbers of things are said."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, in the plural unless it is one.

    >>> counted(1, "subject"), counted(1200, "subject"), counted(0, "box", "boxes")
    ('1 subject', '1,200 subjects', '0 boxes')
    """
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
