"""From the maps of a centre-point network to boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from fiducial.errors import InputError
from fiducial.metrics.boxes import suppressed
from fiducial.types import Float, Int, Tensor

Output = Float[Tensor, "batch outputs *cells"]


def strides(size: Sequence[int], cells: Sequence[int]) -> list[float]:
    """Return how many pixels of an image a cell of a network's map covers along each axis."""
    return [extent / count for extent, count in zip(size, cells, strict=True)]


def decoded(
    output: Output, size: Sequence[int], most: int
) -> tuple[Float[Tensor, "batch most ends"], Float[Tensor, "batch most"], Int[Tensor, "batch most"]]:
    """Return the surest boxes of each image in pixels, cut off at its border, their scores and class numbers.

    A box stands at each cell whose probability is the greatest among its neighbours (Zhou et al., Objects as Points,
    arXiv 1904.07850, section 4: max-pooling instead of comparing boxes). Places that are left over score 0.

    Args:
        output: of a `CenterPoint` network.
        size: of the images.
        most: boxes of an image.
    """
    cells, dims = output.shape[2:], len(size)
    num_classes = output.shape[1] - 2 * dims
    heat = output[:, :num_classes].float().sigmoid()
    pool = F.max_pool2d if dims == 2 else F.max_pool3d
    flat = torch.where(pool(heat, 3, stride=1, padding=1) == heat, heat, 0).flatten(1)
    score, place = flat.topk(min(most, flat.shape[1]), dim=1)
    count = int(np.prod(cells))
    label, number = place // count, place % count
    told = output[:, num_classes:].float().flatten(2)
    told = told.gather(2, number[:, None].expand(-1, 2 * dims, -1)).transpose(1, 2)
    low_corner = torch.stack(torch.unravel_index(number, cells), dim=-1)
    stride = torch.tensor(strides(size, cells), device=output.device)
    centre, extent = (low_corner + told[..., :dims]) * stride, told[..., dims:].clamp(min=0.1) * stride
    limit = torch.tensor(size, device=output.device, dtype=centre.dtype)
    low, high = ((centre + part * extent / 2).clamp(min=0).minimum(limit) for part in (-1, 1))
    return torch.cat([low, high], dim=2), score, label


def kept(
    boxes: Float[Tensor, "batch most ends"],
    score: Float[Tensor, "batch most"],
    label: Int[Tensor, "batch most"],
    *,
    doubles: float,
    min_score: float,
) -> dict[str, Tensor]:
    """Return the boxes that are left without doubles and without the least sure, in the first places of each image.

    Empty places have the label -1 and the score 0.

    Args:
        boxes: in pixels.
        score: of each.
        label: likewise.
        doubles: overlap with a surer box of its class above which a box is dropped.
        min_score: below which a box is dropped.
    """
    ends, sure, number = (values.detach().cpu().numpy() for values in (boxes, score, label))
    result = {"found": np.zeros_like(ends), "score": np.zeros_like(sure), "found_label": np.full_like(number, -1)}
    for row in range(len(ends)):
        stays = suppressed(ends[row].astype(np.float64), sure[row].astype(np.float64), number[row], doubles)
        stays = stays[sure[row][stays] >= min_score]
        for name, values in (("found", ends), ("score", sure), ("found_label", number)):
            result[name][row, : len(stays)] = values[row][stays]
    return {name: torch.from_numpy(values).to(boxes.device) for name, values in result.items()}


@dataclass(frozen=True)
class Decoder:
    """Turn what a network says into boxes.

    Attributes:
        max_boxes: most boxes of an image.
        min_score: from which a box is kept at all; FROC needs the unsure ones too.
        doubles: overlap (intersection over union) with a surer box of its class above which a box is dropped.

    Raises:
        InputError: one of these is out of its range.
    """

    max_boxes: int = 50
    min_score: float = 0.01
    doubles: float = 0.3

    def __post_init__(self) -> None:
        if self.max_boxes < 1:
            raise InputError(f"task.max_boxes must be at least 1; got {self.max_boxes}")
        for name in ("min_score", "doubles"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"task.{name} must be from 0 to 1; got {getattr(self, name)}")

    def __call__(self, output: Output, size: Sequence[int]) -> dict[str, Tensor]:
        """Return the boxes of each image of a batch, see `kept`.

        Args:
            output: of a network.
            size: extent of the images.
        """
        boxes, score, label = decoded(output.detach(), size, self.max_boxes)
        return kept(boxes, score, label, doubles=self.doubles, min_score=self.min_score)
