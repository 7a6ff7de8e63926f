"""What torch and MONAI lack of losses for classification.

Other losses are named in `conf/loss` by their own class. MONAI's focal loss serves sigmoid outputs; with
softmax it averages over classes as well as cases, so that its scale, and with it the best learning rate,
would change with the number of classes. Ordinal targets need no loss of their own: binary cross-entropy over
`levels`.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from fiducial.types import Float, Int, Tensor


def levels(labels: Int[Tensor, " batch"], num_classes: int) -> Float[Tensor, "batch thresholds"]:
    """Return for each threshold k, 0 to `num_classes` - 2, whether the class is above k, as 0.0 or 1.0.

    Frank and Hall, A simple approach to ordinal classification, ECML 2001.

    >>> levels(torch.tensor([0, 2, 3]), 4).tolist()
    [[0.0, 0.0, 0.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]
    """
    return (labels[:, None] > torch.arange(num_classes - 1, device=labels.device)).float()


def ordinal_probabilities(logits: Float[Tensor, "batch thresholds"]) -> Float[Tensor, "batch classes"]:
    """Return class probabilities from the logits of being above each threshold.

    Being above a threshold cannot be more probable than being above a lower one. Thresholds that are learned
    one by one may say so; each probability is then cut to the smallest before it (a running minimum), which
    leaves consistent outputs as they are and makes every class probability non-negative.
    """
    above = torch.sigmoid(logits).cummin(dim=1).values
    return F.pad(above, (1, 0), value=1.0) - F.pad(above, (0, 1), value=0.0)


class FocalLoss(nn.Module):
    """Cross-entropy that counts a case less the surer the network is of its class.

    The loss of a case is `(1 - p)^gamma * -log p` with p the probability of its true class (Lin et al., Focal
    loss for dense object detection, ICCV 2017, eq. 4-5); `gamma=0` is cross-entropy. With class weights the
    mean is the weighted one, as in `torch.nn.CrossEntropyLoss`.

    Args:
        gamma: how fast a case that is well classified loses its weight.
        weight: weight of each class, `(classes,)`.
    """

    weight: Tensor | None

    def __init__(self, gamma: float = 2.0, weight: Tensor | None = None) -> None:
        super().__init__()
        self.gamma = gamma
        self.register_buffer("weight", weight)

    def forward(self, input: Float[Tensor, "batch classes *spatial"], target: Int[Tensor, batch * spatial]) -> Tensor:  # noqa: A002 - torch's name
        """Return the mean loss of logits against class numbers."""
        log_p = F.log_softmax(input, dim=1).gather(1, target[:, None]).squeeze(1)
        # Kept above 0, where a power below 1 has no gradient.
        doubt = (-torch.expm1(log_p)).clamp(min=torch.finfo(log_p.dtype).tiny)
        losses = -(doubt**self.gamma) * log_p
        if self.weight is None:
            return losses.mean()
        weights = self.weight[target]
        return (weights * losses).sum() / weights.sum()
