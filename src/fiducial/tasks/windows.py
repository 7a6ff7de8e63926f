"""Class probabilities of whole cases, window by window, and averaged over mirrored views."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

import torch
from monai.inferers.inferer import SlidingWindowInferer

from fiducial.data.augment import Sides
from fiducial.types import Float, Tensor

Image = Float[Tensor, "batch channels *spatial"]
Probabilities = Float[Tensor, "batch classes *spatial"]


class Windows:
    """Predict images larger than a network's input.

    Overlapping windows are averaged with Gaussian weights, so that the middle of a window, which sees the most of
    its surroundings, counts most. Images smaller than a window are continued by their border.

    Args:
        size: extent of a window along each axis, in pixels.
        overlap: share of a window that the next one covers too.
        at_once: windows that the network is given together.
        flips: axes along which the image is mirrored too; the probabilities of all combinations are averaged.
        sides: of the patient, where one of these axes is from left to right.
    """

    def __init__(
        self,
        size: Sequence[int],
        *,
        overlap: float = 0.5,
        at_once: int = 4,
        flips: Sequence[int] = (),
        sides: Sides | None = None,
    ) -> None:
        self.flips, self.sides = tuple(flips), sides
        self._infer = SlidingWindowInferer(
            list(size), at_once, overlap, mode="gaussian", padding_mode="replicate", cache_roi_weight_map=True
        )

    @torch.inference_mode()
    def __call__(self, network: Callable[[Tensor], Tensor], image: Image) -> Probabilities:
        """Return class probabilities of each pixel."""
        views = (self._mirrored(network, image, axes) for axes in self._views())
        total = next(views)
        for view in views:  # one at a time: of a volume each takes the memory of all class probabilities
            total += view
        return total.div_(2 ** len(self.flips))

    def _views(self) -> Iterator[tuple[int, ...]]:
        for count in range(len(self.flips) + 1):
            yield from combinations(self.flips, count)

    def _mirrored(self, network: Callable[[Tensor], Tensor], image: Image, axes: tuple[int, ...]) -> Probabilities:
        dims = image.ndim - 2
        turned = [axis % dims + 2 for axis in axes]
        found = self._infer(image.flip(turned), lambda window: network(window).float().softmax(1))
        assert isinstance(found, Tensor)
        found = found.flip(turned)
        if self.sides is not None and self.sides.axis + 2 in turned:
            found = found[:, list(self.sides.classes)]
        return found
