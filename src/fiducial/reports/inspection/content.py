"""The facts about a data set, whichever way they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Sheet:
    """A table: headings, and rows of the same number of texts."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True)
class Finding:
    """Something that should be looked into.

    Attributes:
        title: what it is, as a person would say it.
        items: the cases, groups or pairs.
        stops: whether a run refuses such data unless it is allowed by `name`.
        name: for `data.allow`; empty for what is only told.
    """

    title: str
    items: Sequence[str]
    stops: bool = False
    name: str = ""


@dataclass(frozen=True)
class Picture:
    """A case's image as PNG, with what is known of it."""

    png: bytes
    case: str
    caption: str


@dataclass(frozen=True)
class Inspection:
    """What a data set holds.

    Attributes:
        title: the data set's name.
        facts: name and value, in the order to tell them.
        sheets: counts, sizes, spacing and intensities.
        findings: what is wrong with it, or may be.
        looked_for: what was searched, and what was not.
        montage: for each class a few images.
        alike: groups of images that are equal or nearly so, with a heading.
    """

    title: str
    facts: Sequence[tuple[str, str]]
    sheets: Sequence[Sheet]
    findings: Sequence[Finding]
    looked_for: Sequence[str]
    montage: Sequence[tuple[str, Sequence[Picture]]] = field(default_factory=tuple)
    alike: Sequence[tuple[str, Sequence[Picture]]] = field(default_factory=tuple)
