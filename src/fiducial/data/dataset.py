"""Cases of a source as batches of tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from fiducial.data.boxed import BOXES, BoxedSource
from fiducial.data.boxes import Boxes
from fiducial.data.sampler import Portion
from fiducial.data.source import Source
from fiducial.errors import InputError
from fiducial.types import Tensor

Batch = dict[str, Any]
PIXELS = (np.dtype(np.uint8), np.dtype(np.float32))


class CaseDataset(Dataset[Batch | InputError]):
    """Read whole batches of a source: one gather where all pixels are one array, else case by case.

    An item is a batch: `image` (batch, channels, *spatial) uint8 or float32, `label`, `row` (batch,) the
    number of each case in the source's table, for sequences `length` (batch,) in frames, and `epoch`, `step`,
    `size` and `valid`, see `Portion`. Of a source that is learned for its boxes there are `boxes` (batch, most,
    2 * dims) float32 in pixels and `box_label` (batch, most), -1 after a case's last box. An image that cannot be used
    gives an InputError in the batch's place: raised in a loader's worker, it would arrive as a stack trace.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.sequence = source.spec.sequence
        self.pixels = None if self.sequence else source.pixels()
        if self.pixels is not None:
            _check_type(self.pixels, type(source).__name__)
        self.labels = torch.from_numpy(np.ascontiguousarray(source.cases.label))
        self.boxes: dict[str, Tensor] | None = None
        if isinstance(source, BoxedSource) and source.spec.target == BOXES:
            self.boxes = _joined([source.seen(row) for row in range(len(self))], source)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> Batch | InputError:
        return self.__getitems__([row])

    def __getitems__(self, rows: list[int]) -> Batch | InputError:
        portion = rows if isinstance(rows, Portion) else Portion(rows, size=len(rows), valid=len(rows))
        index = torch.tensor(portion)
        try:
            images = self._images(portion)
        except InputError as error:
            return error
        boxes = {} if self.boxes is None else {name: values[index] for name, values in self.boxes.items()}
        return {"row": index, "label": self.labels[index], **vars(portion), **images, **boxes}

    def _images(self, rows: list[int]) -> dict[str, Tensor]:
        if self.pixels is not None:
            gathered = self.pixels[rows]
            self._check_values(gathered, rows)
            return {"image": torch.from_numpy(gathered)}
        images = [np.asarray(self.source.read(row)) for row in rows]
        self._check_shapes(images, rows)
        self._check_values(images, rows)
        return pad(images) if self.sequence else {"image": torch.from_numpy(np.stack(images))}

    def _check_shapes(self, images: list[NDArray[Any]], rows: list[int]) -> None:
        spec = self.source.spec
        expected = (spec.channels, *spec.size)
        for image, row in zip(images, rows, strict=True):
            shape = (image.shape[0], spec.size[0], *image.shape[2:]) if self.sequence else image.shape
            if shape != expected:
                raise InputError(f"{self._name(row)}: expected an image of shape {expected}, got {image.shape}")
            _check_type(image, self._name(row))
            if image.dtype != (first := images[0].dtype):
                raise InputError(f"{self._name(row)}: expected {first}, as {self._name(rows[0])} is; got {image.dtype}")

    def _check_values(self, images: NDArray[Any] | list[NDArray[Any]], rows: list[int]) -> None:
        """Refuse NaN and infinite pixels."""
        if images[0].dtype.kind != "f":
            return
        for image, row in zip(images, rows, strict=True):
            if not np.isfinite(image).all():
                count = np.count_nonzero(~np.isfinite(image))
                raise InputError(
                    f"{self._name(row)}: {count} of {image.size} pixels are NaN or infinite; "
                    "replace them, or leave the case out of the table"
                )

    def _name(self, row: int) -> str:
        return f"case {self.source.cases.case[row]}"


def _check_type(pixels: NDArray[Any], name: str) -> None:
    if pixels.dtype not in PIXELS:
        raise InputError(f"{name}: expected pixels of uint8, or of float32 in 0..1; got {pixels.dtype}")


def _joined(boxes: list[Boxes], source: Source) -> dict[str, Tensor]:
    """Return the boxes of all cases, as many places each as the case with the most needs."""
    most = max(1, *(len(each) for each in boxes))
    corners = torch.zeros(len(boxes), most, 2 * source.spec.spatial_dims)
    label = torch.full((len(boxes), most), -1, dtype=torch.int64)
    for row, each in enumerate(boxes):
        corners[row, : len(each)] = torch.from_numpy(each.corners)
        label[row, : len(each)] = torch.from_numpy(each.label)
    return {"boxes": corners, "box_label": label}


def pad(images: list[NDArray[Any]]) -> dict[str, Tensor]:
    """Join sequences `(channels, frames, *spatial)` of different lengths, padded with zeros at the end."""
    lengths = torch.tensor([image.shape[1] for image in images])
    first = images[0]
    joined = np.zeros((len(images), first.shape[0], int(lengths.max()), *first.shape[2:]), first.dtype)
    for number, image in enumerate(images):
        joined[number, :, : image.shape[1]] = image
    return {"image": torch.from_numpy(joined), "length": lengths}
