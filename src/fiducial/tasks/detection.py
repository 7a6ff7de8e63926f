"""Boxes around what an image shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from fiducial.errors import InputError
from fiducial.metrics.boxes import CaseBoxes, Hit, each_case, suppressed
from fiducial.metrics.detection import DetectionScorer, best_threshold
from fiducial.tasks.base import Batch, Task
from fiducial.types import Float, Int, Tensor

Output = Float[Tensor, "batch outputs *cells"]
VALIDATED = ("cpm", "map_50", "image_auroc")  # scores of validation; a test has all


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


class Detection(Task):
    """Learn where objects are, as boxes.

    Args:
        model: gives `(batch, num_classes + 2 * dims, *cells)`, see `fiducial.models.center_point.CenterPoint`.
        loss: takes that, boxes, labels and the pixels of a cell.
        target: kind of label, "boxes".
        num_classes: kinds of objects.
        contract: of the loss.
        classes: their names.
        max_boxes: most boxes of an image.
        min_score: from which a box is kept at all; FROC needs the unsure ones too.
        doubles: overlap (intersection over union) with a surer box of its class above which a box is dropped.
        hit: when a box is found, for FROC: "centre", if the centre of what was found lies in it, or the least overlap.
        threshold: score from which boxes are called and drawn; "choose" for the best F1 on the validation split.
        **options: of `Task`.

    Raises:
        InputError: an option is out of its range.
    """

    operating: Tensor

    def __init__(
        self,
        *,
        model: nn.Module,
        loss: nn.Module,
        target: str,
        num_classes: int,
        contract: dict[str, Any],
        classes: Sequence[str],
        max_boxes: int = 50,
        min_score: float = 0.01,
        doubles: float = 0.3,
        hit: Hit = "centre",
        threshold: float | Literal["choose"] = "choose",
        **options: Any,
    ) -> None:
        super().__init__(model=model, **options)
        self.loss, self.target, self.num_classes, self.classes = loss, target, num_classes, tuple(classes)
        self.max_boxes, self.min_score, self.doubles, self.hit = max_boxes, min_score, doubles, hit
        self.threshold = threshold
        if max_boxes < 1:
            raise InputError(f"task.max_boxes must be at least 1; got {max_boxes}")
        if hit != "centre" and not (isinstance(hit, float) and 0 < hit < 1):
            raise InputError(f"task.hit must be centre, or an overlap between 0 and 1; got {hit}")
        for name, value in (("min_score", min_score), ("doubles", doubles)):
            if not 0 <= value <= 1:
                raise InputError(f"task.{name} must be from 0 to 1; got {value}")
        # Beside the weights, so that a checkpoint has the threshold that its validation chose.
        self.register_buffer("operating", torch.tensor(0.5 if threshold == "choose" else float(threshold)))

    # -- steps --------------------------------------------------------------------------------------------

    def step(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean loss of a batch; outside training also what was found, and what is there."""
        output = self(batch)
        size = batch["image"].shape[2:]
        stride = torch.tensor(strides(size, output.shape[2:]), device=output.device)
        loss: Tensor = self.loss(output, batch["boxes"], batch["box_label"], stride)
        if self.training:
            return loss, {}
        found = self.found(output, size)
        return loss, {**found, "boxes": batch["boxes"], "box_label": batch["box_label"]}

    def found(self, output: Output, size: Sequence[int]) -> dict[str, Tensor]:
        """Return the boxes of each image of a batch, see `kept`."""
        boxes, score, label = decoded(output.detach(), size, self.max_boxes)
        return kept(boxes, score, label, doubles=self.doubles, min_score=self.min_score)

    def scores(self, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the scores of an epoch; none of training, whose boxes are not decoded."""
        if "found" not in outputs:
            return {}
        cases = boxes_of(outputs)
        if self.trainer.testing:
            found = DetectionScorer(cases, self.classes, self.hit)()
            return {name: torch.tensor(values[0]) for name, values in found.items()}
        if self.threshold == "choose":
            self.operating.fill_(best_threshold(cases, self.hit))
        found = DetectionScorer(cases, self.classes, self.hit)()
        return {name: torch.tensor(found[name][0]) for name in VALIDATED}

    # -- test ---------------------------------------------------------------------------------------------

    @property
    def chosen_threshold(self) -> float:
        """The score from which boxes are called."""
        return float(self.operating)

    def recall(self, scores: Mapping[str, Any]) -> None:
        """Nothing: a checkpoint has the threshold that was chosen for it."""


def boxes_of(outputs: Mapping[str, Tensor]) -> list[CaseBoxes]:
    """Return what was found in each case, and what is there."""
    found, score, truth = (outputs[name].double().cpu().numpy() for name in ("found", "score", "boxes"))
    label, true_label = (outputs[name].long().cpu().numpy() for name in ("found_label", "box_label"))
    return list(each_case(found, score, label, truth, true_label))
