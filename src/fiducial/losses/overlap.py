"""Soft overlap of probabilities and masks."""

from __future__ import annotations

from torch import nn
from torch.nn import functional as F

from fiducial.losses.classification import FocalLoss
from fiducial.types import Float, Int, Tensor


def soft_dice(
    probability: Float[Tensor, "batch classes *spatial"],
    truth: Float[Tensor, "batch classes *spatial"],
    smooth: float = 1e-5,
) -> Tensor:
    """Return the mean over classes of the soft Dice over the whole batch; 1 for a class that nothing has."""
    over = (0, *range(2, probability.ndim))
    both = (probability * truth).sum(over)
    return ((2 * both + smooth) / (probability.sum(over) + truth.sum(over) + smooth)).mean()


class DiceFocal(nn.Module):
    """Soft Dice of the classes but the background, plus the focal loss of all classes; both of a softmax.

    MONAI's DiceFocalLoss takes its focal part from a sigmoid of each foreground logit, whatever the Dice part takes.

    Args:
        gamma: of the focal loss, see `FocalLoss`.
        lambda_dice: weight of the Dice part.
        lambda_focal: weight of the focal part.
        weight: weight of each class in the focal part, `(classes,)`.
    """

    def __init__(
        self, gamma: float = 2.0, lambda_dice: float = 1.0, lambda_focal: float = 1.0, weight: Tensor | None = None
    ) -> None:
        super().__init__()
        self.focal = FocalLoss(gamma, weight)
        self.lambda_dice, self.lambda_focal = lambda_dice, lambda_focal

    def forward(self, input: Float[Tensor, "batch classes *spatial"], target: Int[Tensor, batch * spatial]) -> Tensor:  # noqa: A002 - torch's name
        """Return the loss of logits against class numbers."""
        truth = F.one_hot(target, input.shape[1]).movedim(-1, 1)[:, 1:]
        overlap = soft_dice(input.softmax(1)[:, 1:], truth.to(input.dtype))
        focal: Tensor = self.focal(input, target)
        return self.lambda_dice * (1 - overlap) + self.lambda_focal * focal
