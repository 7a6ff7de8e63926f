"""Boxes around what an image shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import nn

from fiducial.errors import InputError
from fiducial.metrics.boxes import CaseBoxes, Hit, each_case
from fiducial.metrics.detection import DetectionScorer, best_threshold
from fiducial.objective import OF_BOXES
from fiducial.tasks.base import Batch, Task
from fiducial.tasks.decoding import Decoder, strides
from fiducial.types import Tensor


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
        self.decode, self.hit, self.threshold = Decoder(max_boxes, min_score, doubles), hit, threshold
        if hit != "centre" and not (isinstance(hit, float) and 0 < hit < 1):
            raise InputError(f"task.hit must be centre, or an overlap between 0 and 1; got {hit}")
        if threshold != "choose" and not 0 <= float(threshold) <= 1:
            raise InputError(f"task.threshold must be choose, or from 0 to 1; got {threshold}")
        # Beside the weights, so that a checkpoint has the threshold that its validation chose.
        self.register_buffer("operating", torch.tensor(0.5 if threshold == "choose" else float(threshold)))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave the threshold at what was asked for, if it is a number."""
        super().on_load_checkpoint(checkpoint)
        if self.threshold != "choose":
            checkpoint["state_dict"]["operating"] = torch.tensor(float(self.threshold))

    # -- steps --------------------------------------------------------------------------------------------

    def step(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean loss of a batch; outside training also what was found, and what is there."""
        output = self(batch)
        size = batch["image"].shape[2:]
        stride = torch.tensor(strides(size, output.shape[2:]), device=output.device)
        loss: Tensor = self.loss(output, batch["boxes"], batch["box_label"], stride)
        if self.training:
            return loss, {}
        found = self.decode(output, size)
        return loss, {**found, "boxes": batch["boxes"], "box_label": batch["box_label"]}

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
        return {name: torch.tensor(found[name][0]) for name in OF_BOXES}

    # -- test ---------------------------------------------------------------------------------------------

    @property
    def chosen_threshold(self) -> float:
        """The score from which boxes are called."""
        return float(self.operating)


def boxes_of(outputs: Mapping[str, Tensor]) -> list[CaseBoxes]:
    """Return what was found in each case, and what is there."""
    found, score, truth = (outputs[name].double().cpu().numpy() for name in ("found", "score", "boxes"))
    label, true_label = (outputs[name].long().cpu().numpy() for name in ("found_label", "box_label"))
    return list(each_case(found, score, label, truth, true_label))
