"""A loss that counts how far from the true border a wrong pixel lies."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import nn
from torch.nn import functional as F

from fiducial.losses.overlap import soft_dice
from fiducial.types import Bool, Float, Int, Tensor

Mask = Int[Tensor, "batch *spatial"]


def signed_distance(mask: Bool[Tensor, "batch classes *spatial"]) -> Float[Tensor, "batch classes *spatial"]:
    """Return distances to the border in pixels: negative inside, positive outside, 0 for a class that is not there.

    The border lies between pixels: the nearest pixels on its two sides have -0.5 and 0.5.
    """
    flags = mask.cpu().numpy()
    result = np.zeros(flags.shape, np.float32)
    for image, classes in enumerate(flags):
        for number, inside in enumerate(classes):
            if inside.any() and not inside.all():
                outward, inward = ndimage.distance_transform_edt(~inside), ndimage.distance_transform_edt(inside)
                result[image, number] = np.where(inside, 0.5 - inward, outward - 0.5)
    return torch.from_numpy(result).to(mask.device)


class DiceBoundary(nn.Module):
    """`1 - Dice + alpha * boundary` of the classes but the background.

    The boundary term is the mean over pixels of probability times signed distance to the true border, in pixels.
    Kervadec et al., Boundary loss for highly unbalanced segmentation, MIDL 2019, eq. 5; they raise alpha from 0.01 by
    0.01 an epoch, here it is constant.

    Args:
        alpha: weight of the boundary term.
    """

    def __init__(self, alpha: float = 0.05) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, logits: Float[Tensor, "batch classes *spatial"], mask: Mask) -> Tensor:
        """Return the loss of logits against class numbers."""
        probability = logits.softmax(1)[:, 1:]
        truth = F.one_hot(mask, logits.shape[1]).movedim(-1, 1)[:, 1:]
        boundary = (probability * signed_distance(truth.bool()).to(probability.dtype)).mean()
        return 1 - soft_dice(probability, truth.to(probability.dtype)) + self.alpha * boundary
