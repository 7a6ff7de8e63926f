"""Cases of a source as batches of tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from fiducial.data.source import Source
from fiducial.errors import InputError
from fiducial.types import Tensor

Batch = dict[str, Tensor]


class CaseDataset(Dataset[Batch]):
    """Read whole batches of a source: one gather where all pixels are one array, else case by case.

    An item is a batch: `image` (batch, channels, *spatial) uint8 or float32, `label`, `row` (batch,) the
    number of each case in the source's table, and for sequences `length` (batch,) in frames.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.sequence = source.spec.sequence
        self.pixels = None if self.sequence else source.pixels()
        self.labels = torch.from_numpy(np.ascontiguousarray(source.cases.label))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> Batch:
        return self.__getitems__([row])

    def __getitems__(self, rows: list[int]) -> Batch:
        index = torch.as_tensor(rows, dtype=torch.int64)
        batch = {"row": index, "label": self.labels[index]}
        if self.pixels is not None:
            return batch | {"image": torch.from_numpy(self.pixels[rows])}
        images = [np.asarray(self.source.read(row)) for row in rows]
        if self.sequence:
            return batch | pad(images)
        self._check_shapes(images, rows)
        return batch | {"image": torch.from_numpy(np.stack(images))}

    def _check_shapes(self, images: list[Any], rows: list[int]) -> None:
        spec = self.source.spec
        expected = (spec.channels, *spec.size)
        for image, row in zip(images, rows, strict=True):
            if image.shape != expected:
                raise InputError(
                    f"case {self.source.cases.case[row]}: expected an image of shape {expected}, got {image.shape}"
                )


def pad(images: list[Any]) -> Batch:
    """Join sequences `(channels, frames, *spatial)` of different lengths, padded with zeros at the end."""
    lengths = torch.tensor([image.shape[1] for image in images])
    first = images[0]
    joined = np.zeros((len(images), first.shape[0], int(lengths.max()), *first.shape[2:]), first.dtype)
    for number, image in enumerate(images):
        joined[number, :, : image.shape[1]] = image
    return {"image": torch.from_numpy(joined), "length": lengths}
