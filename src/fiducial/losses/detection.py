"""What a centre-point detector learns from: Zhou et al., Objects as Points, arXiv 1904.07850, equations 1 to 4."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from fiducial.errors import InputError
from fiducial.types import Float, Int, Tensor

Output = Float[Tensor, "batch outputs ..."]
Boxes = Float[Tensor, "batch most ends"]
Labels = Int[Tensor, "batch most"]


@dataclass(frozen=True)
class Goal:
    """What a network should say of boxes, in its cells.

    Attributes:
        heat: 1 in the cell of each centre, falling off around it, `(batch, classes, *cells)`.
        cell: number of the cell of each centre along each axis, `(batch, most, dims)`.
        offset: of the centre from that cell's low corner, in cells, likewise.
        size: of the box, in cells, likewise.
        there: whether a place has a box, `(batch, most)`.
    """

    heat: Tensor
    cell: Tensor
    offset: Tensor
    size: Tensor
    there: Tensor


def goal(
    boxes: Boxes, label: Labels, stride: Float[Tensor, " dims"], cells: torch.Size, num_classes: int, overlap: float
) -> Goal:
    """Return what a network should say.

    Around a centre the heat is `exp(-sum((x_i - c_i)^2 / (2 sigma_i^2)))` with `sigma_i = (2 r_i + 1) / 6`, where `r_i`
    is how far, in cells, a box may be shifted along all axes together and still overlap itself by `overlap`
    (intersection over union). Shifted by a share s of each extent it overlaps by `(1 - s)^d / (2 - (1 - s)^d)`, so
    that `r_i = size_i * (1 - (2 overlap / (1 + overlap))^(1 / d))`. Where two objects of a class meet, the greater heat
    holds.

    Args:
        boxes: low, then high ends, in pixels.
        label: class numbers; -1 where there is no box.
        stride: pixels of a cell along each axis.
        cells: extent of the map.
        num_classes: kinds of objects.
        overlap: see above.
    """
    dims = len(cells)
    extent = torch.tensor(cells, device=boxes.device)
    there = label >= 0
    centre = (boxes[..., :dims] + boxes[..., dims:]) / 2 / stride
    size = (boxes[..., dims:] - boxes[..., :dims]) / stride
    cell = centre.floor().long().clamp(min=0).minimum(extent - 1)
    share = 1 - (2 * overlap / (1 + overlap)) ** (1 / dims)
    sigma = (2 * share * size + 1) / 6
    exponent = torch.zeros(*label.shape, *cells, device=boxes.device)
    for axis in range(dims):
        place = torch.arange(cells[axis], device=boxes.device)
        part = ((place - cell[..., axis, None]) / sigma[..., axis, None]) ** 2 / 2
        exponent = exponent + part.view(*label.shape, *[1] * axis, -1, *[1] * (dims - axis - 1))
    bump = torch.exp(-exponent) * there.view(*there.shape, *[1] * dims)
    kinds = F.one_hot(label.clamp(min=0), num_classes).to(bump.dtype)
    heat = torch.stack([(bump * kinds[..., k].view(*there.shape, *[1] * dims)).amax(1) for k in range(num_classes)], 1)
    return Goal(heat, cell, centre - cell, size, there)


def focal(logits: Output, heat: Output, alpha: float, beta: float) -> Float[Tensor, " batch"]:
    """Return the penalty-reduced focal loss of each image, summed over its cells (equation 1).

    A centre costs `-(1 - p)^alpha log p`, any other cell `-(1 - heat)^beta p^alpha log(1 - p)`.
    """
    p = logits.sigmoid()
    centre = heat == 1
    hit = -((1 - p) ** alpha) * F.logsigmoid(logits)
    miss = -((1 - heat) ** beta) * p**alpha * F.logsigmoid(-logits)
    return torch.where(centre, hit, miss).flatten(1).sum(1)


class CenterPointLoss(nn.Module):
    """Focal loss of the heat, and L1 losses of offset and size where there is a centre, over the number of objects.

    The loss of an image is divided by its number of objects, or by 1 without any; the loss of a batch is the mean over
    its images.

    Args:
        alpha: how fast a cell that is right loses its weight.
        beta: how much less a wrong cell costs near a centre.
        offset_weight: of the L1 loss of the centre within its cell.
        size_weight: of the L1 loss of the size in cells.
        overlap: how wide the heat around a centre is, see `goal`.

    Raises:
        InputError: alpha is below 1.
    """

    def __init__(
        self,
        *,
        alpha: float = 2.0,
        beta: float = 4.0,
        offset_weight: float = 1.0,
        size_weight: float = 0.1,
        overlap: float = 0.7,
    ) -> None:
        super().__init__()
        if alpha < 1:  # its gradient has no end where a probability reaches 0 or 1
            raise InputError(f"loss.alpha must be at least 1; got {alpha}")
        self.alpha, self.beta, self.overlap = alpha, beta, overlap
        self.offset_weight, self.size_weight = offset_weight, size_weight

    def forward(self, output: Output, boxes: Boxes, label: Labels, stride: Float[Tensor, " dims"]) -> Tensor:
        """Return the loss of a network's output, see `CenterPoint`, against boxes in pixels."""
        output = output.float()
        cells = output.shape[2:]
        dims = len(cells)
        num_classes = output.shape[1] - 2 * dims
        wanted = goal(boxes, label, stride, cells, num_classes, self.overlap)
        count = wanted.there.sum(1).clamp(min=1)
        total = focal(output[:, :num_classes], wanted.heat, self.alpha, self.beta)
        said = at(output[:, num_classes:], wanted.cell)
        for part, truth, weight in (
            (said[..., :dims], wanted.offset, self.offset_weight),
            (said[..., dims:], wanted.size, self.size_weight),
        ):
            total = total + weight * ((part - truth).abs().sum(-1) * wanted.there).sum(1)
        return (total / count).mean()


def at(
    values: Float[Tensor, "batch channels ..."], cell: Int[Tensor, "batch most dims"]
) -> Float[Tensor, "batch most channels"]:
    """Return what a map says in given cells."""
    number = torch.zeros_like(cell[..., 0])
    for axis, extent in enumerate(values.shape[2:]):
        number = number * extent + cell[..., axis]
    flat = values.flatten(2)
    return flat.gather(2, number[:, None].expand(-1, flat.shape[1], -1)).transpose(1, 2)
