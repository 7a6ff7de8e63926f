"""Regular expressions from a configuration: which part of a name is the subject."""

from __future__ import annotations

import re

from fiducial.errors import InputError


def pattern(key: str, text: str) -> re.Pattern[str]:
    """Return the regular expression that `data.source.<key>` gives.

    Raises:
        InputError: it is none.
    """
    try:
        return re.compile(text)
    except re.error as error:
        raise InputError(f"data.source.{key}={text!r} is no regular expression: {error}") from error


def subject_pattern(text: str) -> re.Pattern[str]:
    """Return the regular expression whose first group is the subject.

    Raises:
        InputError: it is none, or has no group.
    """
    found = pattern("subject", text)
    if not found.groups:
        raise InputError(f"data.source.subject={text!r} needs a group, as in '(P[0-9]+)_'")
    return found


def subject_in(name: str, wanted: re.Pattern[str], place: object) -> str:
    """Return the subject that a name holds.

    Args:
        name: of a file or case.
        wanted: see `subject_pattern`.
        place: the file or case, for the message.

    Raises:
        InputError: there is none in it.
    """
    found = wanted.search(name)
    if found is None or not found.group(1):
        raise InputError(f"{place}: data.source.subject={wanted.pattern!r} finds no subject in the name")
    return found.group(1)
