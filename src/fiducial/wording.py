"""How numbers and names are written for people."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

MOST_NAMES = 4  # in a line


def brief(value: str) -> str:
    """Return a value as a person reads it: a number with three digits.

    >>> brief("0.0023614480051237235"), brief("12"), brief("[8, 16]")
    ('0.00236', '12', '[8, 16]')
    """
    try:
        return value if value.lstrip("-").isdigit() else f"{float(value):.3g}"
    except ValueError:
        return value


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, in the plural unless it is one.

    >>> counted(1, "subject"), counted(1200, "subject"), counted(0, "box", "boxes")
    ('1 subject', '1,200 subjects', '0 boxes')
    """
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def listed(names: Sequence[str], between: str = ", ") -> str:
    """Return names in a line, the first few of many.

    >>> listed(["a", "b"]), listed(list("abcdef"))
    ('a, b', 'a, b, c, d and 2 more')
    """
    more = len(names) - MOST_NAMES
    return between.join(names[:MOST_NAMES]) + (f" and {more:,} more" if more > 0 else "")


def heading(name: str, width: int = 14) -> str:
    r"""Return a name over as many lines as keep a column narrow; a word is not broken.

    >>> heading("val/balanced_accuracy")
    'val/balanced\naccuracy'
    """
    return "\n".join(wrap(name.replace("_", " "), width, break_long_words=False, break_on_hyphens=False))
