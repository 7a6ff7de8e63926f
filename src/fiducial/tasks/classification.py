"""One or several labels for a whole image, volume or sequence."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import distributed, nn
from torch.nn import functional as F

from fiducial.losses import levels, ordinal_probabilities
from fiducial.metrics import classification_scores
from fiducial.tasks.base import Batch, Task
from fiducial.types import Float, Int, Tensor

Head = Literal["softmax", "sigmoid", "ordinal"]


def class_probabilities(logits: Float[Tensor, "batch outputs"], head: Head, target: str) -> Float[Tensor, "batch c"]:
    """Return class probabilities from a network's outputs.

    A softmax gives one column a class; a single sigmoid output the two columns of a binary target; several
    sigmoid outputs one independent probability a label; an ordinal head's cumulative outputs their differences.
    """
    if head == "softmax":
        return logits.float().softmax(dim=1)
    if head == "ordinal":
        return ordinal_probabilities(logits.float())
    positive = logits.float().sigmoid()
    return torch.cat([1 - positive, positive], dim=1) if target == "binary" else positive


def loss_target(label: Int[Tensor, batch * labels], head: Head, form: str, num_classes: int) -> Tensor:
    """Return labels in the form a loss takes: class numbers, or float `(batch, outputs)`."""
    if head == "ordinal":
        return levels(label, num_classes)
    if head == "sigmoid":
        return label.float().view(len(label), -1)
    return label if form == "index" else F.one_hot(label, num_classes).float()


class Classification(Task):
    """Learn binary, multi-class, multi-label or ordinal labels.

    Args:
        model: gives `(batch, num_outputs)` logits.
        loss: takes what its `contract` says.
        num_outputs: of the network; a check on the configuration.
        target: kind of label, see `fiducial.data.source.Spec`.
        num_classes: number of classes, or of labels.
        contract: of the loss: head, input (logits or probabilities), target (index or onehot).
        **options: of `Task`.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        loss: nn.Module,
        num_outputs: int,
        target: str,
        num_classes: int,
        contract: dict[str, Any],
        **options: Any,
    ) -> None:
        super().__init__(model=model, **options)
        self.loss, self.num_outputs, self.target, self.num_classes = loss, num_outputs, target, num_classes
        self.head: Head = contract["head"]
        self.loss_input: str = contract.get("input", "logits")
        self.loss_form: str = contract.get("target", "index")
        weight = getattr(loss, "weight", None)
        self._averages_by_weight = weight is not None and self.head == "softmax" and self.loss_form == "index"

    def step(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean loss of a batch; class probabilities and labels."""
        logits, label = self(batch), batch["label"]
        wanted = loss_target(label, self.head, self.loss_form, self.num_classes)
        from_logits = self.loss_input == "logits"
        probabilities = class_probabilities(logits.detach() if from_logits else logits, self.head, self.target)
        loss: Tensor = self.loss(logits if from_logits else probabilities, wanted)
        return loss, {"probabilities": probabilities, "label": label}

    def scores(self, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the classification scores of an epoch."""
        return classification_scores(outputs["probabilities"], outputs["label"], self.target)

    def share(self, batch: Batch) -> float | Tensor:
        """Return this process's weight in the mean loss of a batch: by cases, or by the classes' weights of these."""
        if not self._averages_by_weight:
            return super().share(batch)
        return self._weight_here(batch) / self.amount(batch)

    def amount(self, batch: Batch) -> float | Tensor:
        """Return what a batch counts in the mean loss of an epoch: its cases, or the classes' weights of these."""
        if not self._averages_by_weight:
            return super().amount(batch)
        everywhere = self._weight_here(batch)
        if self.trainer.world_size > 1:
            distributed.all_reduce(everywhere)
        return everywhere

    def _weight_here(self, batch: Batch) -> Tensor:
        weight = self.loss.weight
        assert isinstance(weight, Tensor)
        return weight[batch["label"][: batch["valid"]]].sum()
