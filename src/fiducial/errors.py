"""What is said to a user whose input cannot be used."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """Input from the user that cannot be used: the message says what was expected, what came, what is available.

    The command line prints the message alone, without a stack trace, and exits with code 1.
    """


def nearest(word: str, options: Iterable[str]) -> str:
    """Return `'; did you mean X?'` for the option nearest to `word`, or an empty string.

    >>> nearest("resnet81", ["resnet18", "resnet50", "lenet"])
    '; did you mean resnet18?'
    """
    matches = get_close_matches(word, list(options), n=1, cutoff=0.5)
    return f"; did you mean {matches[0]}?" if matches else ""
