"""The contract of a source: a table of cases, what an image is like, and the pixels of one case.

Nothing here, nor in any source's module, imports torch: a configuration is checked against a source's
specification before torch is loaded.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fiducial.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fiducial.data.columns import Covariates

Target = Literal["binary", "multiclass", "multilabel", "ordinal"]
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Spec:
    """What every image and label of a source is like; configuration reads it as `${data.spec.<field>}`.

    Attributes:
        channels: channels of an image.
        spatial_dims: 2 for images; 3 for volumes and for sequences of 2D frames.
        size: extent along each spatial axis, in pixels, after the source's size policy. For sequences of
            different lengths the first entry is the greatest length. Images with masks may differ in size: that of
            the first case.
        target: what a label is; "mask" for a class number of each pixel, "boxes" for boxes with a class each.
        classes: class names, in the order of their label numbers.
        sequence: the first spatial axis runs over frames or slices, and cases differ in their number.
        modality: as a person would say it ("breast ultrasound").
        columns: features from a table that come with each image, by name.
        files: that an image is read from: one, or one a channel.
        axes: where each spatial axis of `size` leads in the file of the first case with masks, such as LPS; empty where
            nobody knows.
    """

    channels: int
    spatial_dims: int
    size: tuple[int, ...]
    target: Target | Literal["mask", "boxes"]
    classes: tuple[str, ...]
    sequence: bool = False
    modality: str = ""
    columns: tuple[str, ...] = ()
    files: int = 1
    axes: str = ""

    @property
    def num_classes(self) -> int:
        """Number of classes; for a multi-label target, number of labels."""
        return len(self.classes)

    def as_config(self) -> dict[str, Any]:
        """Return the plain mapping that is placed at `data.spec`."""
        return asdict(self) | {
            "size": list(self.size),
            "classes": list(self.classes),
            "num_classes": self.num_classes,
            "columns": list(self.columns),
            "num_columns": len(self.columns),
        }


@dataclass(frozen=True)
class Cases:
    """A table of cases, one entry per case in each column.

    Attributes:
        case: unique id of a case, `(cases,)` of str.
        subject: id of the patient a case belongs to, `(cases,)` of str.
        split: "train", "val" or "test", `(cases,)` of str.
        label: class number `(cases,)` int64 (-1: not known, of cases that are only looked at), or for multi-label
            targets 0/1 flags `(cases, classes)` int64.
    """

    case: NDArray[np.str_]
    subject: NDArray[np.str_]
    split: NDArray[np.str_]
    label: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.case)

    def where(self, split: str) -> NDArray[np.int64]:
        """Return the row numbers of one split, in table order."""
        import numpy as np

        return np.flatnonzero(self.split == split)


class Source(ABC):
    """Where cases come from. A constructor only keeps its options; reading starts when it is asked for."""

    @cached_property
    @abstractmethod
    def spec(self) -> Spec:
        """What images and labels are like. Cheap (a table look-up, a folder listing, one header)."""

    @cached_property
    @abstractmethod
    def cases(self) -> Cases:
        """The table of cases, in an order that does not depend on the machine."""

    @property
    def part(self) -> str:
        """Which of several data sets under one option this is ("Task04_Hippocampus"); empty where there is one."""
        return ""

    @property
    def sites(self) -> NDArray[np.str_] | None:
        """Hospital or scanner of each case, `(cases,)`, in the order of the table; None where nobody knows."""
        return None

    def check_private(self, settings: Mapping[str, str]) -> None:
        """Refuse ids, subjects and settings that hold what the files themselves say of a person; most say nothing.

        Args:
            settings: texts that a run would log, by name.

        Raises:
            InputError: one does.
        """
        return None

    @property
    def place(self) -> Path | None:
        """The file that lists the cases; None where there is no such file."""
        return None

    @property
    def tables(self) -> Sequence[Path]:
        """Text files that say which cases there are, and what of each: with another content it is another data set."""
        return [] if self.place is None else [self.place]

    def look_only(self) -> None:
        """Be told that nothing is learned from the cases: a source may then take some that it refuses otherwise."""
        return None

    @property
    def covariates(self) -> Covariates | None:
        """Values of a table's columns that a network may see beside the image, in the order of the table."""
        return None

    @property
    def present(self) -> NDArray[np.bool_] | None:
        """Which channels each case has, `(cases, channels)`, in the order of the table; None where all have all."""
        return None

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Names of an image's channels; numbers where nobody named them."""
        return tuple(f"channel {number}" for number in range(self.spec.channels))

    @abstractmethod
    def read(self, index: int) -> NDArray[Any]:
        """Return the image of one case, `(channels, *spatial)`, uint8 (0..255) or float32 (about 0..1).

        Raises:
            InputError: the image cannot be read; the message names the file and the case.
        """

    def pixels(self) -> NDArray[Any] | None:
        """Return all images as one array `(cases, channels, *spatial)`, in memory or mapped, or None.

        None means that images differ in shape or do not fit, and are read one at a time.
        """
        return None

    @property
    def is_at_hand(self) -> bool:
        """Whether all images can soon be in memory, without a download: a sweep then reads them once for all jobs."""
        return False

    @abstractmethod
    def fingerprint(self) -> Mapping[str, str]:
        """Return facts that identify the content: at least `sha256`, a hash that changes when any case does."""


def cases_of(source: Source) -> Cases:
    """Return a source's table of cases.

    Raises:
        InputError: it is no such table, or its columns differ in length or are of another kind.
    """
    import numpy as np

    cases: Any = source.cases
    place = f"{_name(source)}.cases"
    if not isinstance(cases, Cases):
        raise InputError(f"{place}: expected a fiducial.data.source.Cases, got {type(cases).__name__}")
    for name, kind in (("case", "U"), ("subject", "U"), ("split", "U"), ("label", "iu")):
        column = getattr(cases, name)
        if not isinstance(column, np.ndarray) or column.dtype.kind not in kind:
            what = f"an array of {column.dtype}" if isinstance(column, np.ndarray) else f"a {type(column).__name__}"
            wanted = "strings" if kind == "U" else "integers"
            raise InputError(f"{place}.{name}: expected a NumPy array of {wanted}, got {what}")
        if len(column) != len(cases):
            raise InputError(f"{place}.{name}: expected an entry for each of {len(cases)} cases, got {len(column)}")
    return cases


def fingerprint_of(source: Source) -> dict[str, str]:
    """Return the facts that identify a source's content.

    Raises:
        InputError: they are no mapping with a hash.
    """
    facts: Any = source.fingerprint()
    expected = f"{_name(source)}.fingerprint: expected a mapping such as {{'sha256': …}}, a hash of the content, got"
    if not isinstance(facts, Mapping):
        raise InputError(f"{expected} {type(facts).__name__}")
    if not isinstance(facts.get("sha256"), str):
        raise InputError(f"{expected} {dict(facts)}")
    return dict(facts)


def _name(source: Source) -> str:
    return f"{type(source).__module__}.{type(source).__name__}"
