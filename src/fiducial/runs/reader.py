"""Image files as a run's images: those that cannot be read are kept apart, and what was done to the others is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from omegaconf import DictConfig
from torch import Tensor

from fiducial.data.formats import decode
from fiducial.data.images import as_input
from fiducial.data.module import DataModule, in_unit_range, standardise
from fiducial.errors import InputError

Read = TypeVar("Read")
SHOWN = 3  # sizes and files that are named


def network_input(
    cfg: DictConfig, images: NDArray[Any], device: torch.device | str
) -> Float[Tensor, "batch channels *spatial"]:
    """Return images, decoded as the run's were, as its network takes them: normalised, on a device.

    Args:
        cfg: the run's configuration.
        images: uint8 (0..255) or float (about 0..1), `(batch, channels, *spatial)`.
        device: where to.
    """
    known = signature(DataModule).parameters
    mean, std = (cfg.data.get(name, known[name].default) for name in ("mean", "std"))
    return standardise(in_unit_range(torch.from_numpy(np.array(images)).to(device)), mean, std)


class Reader:
    """Reads files as the images of a run.

    Args:
        cfg: the run's configuration.

    Attributes:
        unreadable: why, by file.
        changed: how many images were changed in which way.
    """

    def __init__(self, cfg: DictConfig) -> None:
        spec, source = cfg.data.spec, cfg.data.source
        self.channels, self.size = int(spec.channels), tuple(spec.size)
        self.policy, self.intensity = source.get("policy", "resize"), source.get("intensity")
        self.unreadable: dict[Path, str] = {}
        self.sizes: Counter[tuple[int, ...]] = Counter()
        self.colours: Counter[str] = Counter()
        self.count = 0

    def __call__(self, file: Path) -> NDArray[Any]:
        """Return an image, `(channels, *spatial)`, and note what it took.

        Raises:
            InputError: it cannot be read, or does not fit.
        """
        stored = decode(file)
        options: dict[str, Any] = {"policy": self.policy, "intensity": self.intensity}
        image = as_input(stored, file, channels=self.channels, size=self.size, **options)
        self.count += 1
        if stored.shape[1:] != self.size:
            self.sizes[tuple(stored.shape[1:])] += 1
        if len(stored) != self.channels:
            self.colours["colours turned to grey" if self.channels == 1 else "grey repeated as colours"] += 1
        return np.array(image)

    def each(self, files: Sequence[Path], read: Callable[[Path], Read]) -> Iterator[tuple[Path, Read]]:
        """Yield the files that can be read, with what `read` makes of each; keep the others apart."""
        for file in files:
            try:
                found = read(file)
            except InputError as error:
                self.unreadable[file] = str(error)
                continue
            yield file, found

    def remark(self) -> str:
        """Return in one line what was done to the images; empty where all fitted."""
        parts = []
        if self.sizes:
            extents = [" × ".join(map(str, size)) for size, _ in self.sizes.most_common(SHOWN)]
            more = f" and {len(self.sizes) - SHOWN} other sizes" if len(self.sizes) > SHOWN else ""
            way = {"resize": "resized", "fit": "resized and padded", "pad": "padded", "crop": "cropped"}[self.policy]
            to = " × ".join(map(str, self.size))
            parts.append(f"{self.sizes.total()} {way} to {to} (from {', '.join(extents)}{more})")
        parts += [f"{number} with {what}" for what, number in self.colours.items()]
        return f"of {self.count} images, as in training: {'; '.join(parts)}" if parts else ""

    def with_errors(self, files: Sequence[Path], table: pd.DataFrame) -> pd.DataFrame:
        """Return a table of the files that could be read with a line, and a column `error`, for the others.

        Raises:
            InputError: none could be read.
        """
        if not self.unreadable:
            return table
        if len(self.unreadable) == len(set(files)):
            shown = "; ".join(list(self.unreadable.values())[:SHOWN])
            more = len(self.unreadable) - SHOWN
            raise InputError(f"no image can be predicted: {shown}{f' and {more} more' if more > 0 else ''}")
        known = {line["file"]: line for line in table.to_dict("records")}
        lines = [
            {"file": str(file), "error": self.unreadable.get(file, ""), **known.get(str(file), {})} for file in files
        ]
        whole = {name: "Int64" for name, kind in table.dtypes.items() if kind.kind == "i"}
        return pd.DataFrame(lines, columns=[*table.columns, "error"]).astype(whole)


def needs_more(cfg: DictConfig) -> str | None:
    """Return why a run's network cannot be applied to image files alone, and what can; None where it can."""
    spec = cfg.data.spec
    if spec.sequence:
        return "the cases of this run are sequences: `fiducial evaluate RUN data=…`"
    if spec.get("files", 1) > 1:
        return f"an image of this run is {spec.files} files: `fiducial evaluate RUN data.source.path=…`"
    if spec.get("columns") and cfg.model.get("num_columns") is not None:
        names = ", ".join(spec.columns)
        return f"this run's network also needs the columns {names}: `fiducial evaluate RUN data.source.path=…`"
    return None
