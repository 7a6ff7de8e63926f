"""How numbers and names are written for people."""

from __future__ import annotations

from textwrap import wrap


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, in the plural unless it is one.

    >>> counted(1, "subject"), counted(1200, "subject"), counted(0, "box", "boxes")
    ('1 subject', '1,200 subjects', '0 boxes')
    """
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def heading(name: str, width: int = 14) -> str:
    r"""Return a name over as many lines as keep a column narrow; a word is not broken.

    >>> heading("val/balanced_accuracy")
    'val/balanced\naccuracy'
    """
    return "\n".join(wrap(name.replace("_", " "), width, break_long_words=False, break_on_hyphens=False))
