"""Phantoms with a class for each pixel."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fiducial.data.anatomy import lesion_mask, organ_mask
from fiducial.data.masked import MaskedSource
from fiducial.data.phantom import Phantom
from fiducial.data.sample import Sample
from fiducial.data.source import Spec
from fiducial.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class PhantomMasks(Phantom, MaskedSource):
    """Make synthetic CT-like images of subjects, and masks of lesions and perhaps of the two organs.

    Volumes have array axes that lead to the head, the back and the patient's left, and a size in mm. A subject
    without a lesion has no pixel of that class.

    Args:
        spacing: of voxels in mm, `(depth, height, width)`; for volumes only.
        organs: whether the left and the right organ are classes.
        prior: probability of having no lesion, and one.
        **options: see `Phantom`: num_subjects, images_per_subject, size, channels, noise, difficulty, seed.

    Raises:
        InputError: an option is out of its range, or asks for another kind of label.
    """

    def __init__(
        self,
        *,
        spacing: Sequence[float] = (2.0, 1.0, 1.0),
        organs: bool = False,
        prior: Sequence[float] = (0.1, 0.9),
        **options: Any,
    ) -> None:
        super().__init__(prior=prior, **options)
        if self.target != "binary" or self.sequence:
            raise InputError("phantom_segmentation takes neither data.source.target nor data.source.sequence")
        if len(spacing) != 3 or min(spacing) <= 0:
            raise InputError(f"phantom_segmentation: spacing must be three lengths in mm; got {list(spacing)}")
        self.spacing, self.organs = tuple(float(length) for length in spacing), organs

    @cached_property
    def spec(self) -> Spec:
        """What phantoms and their masks are like."""
        organs = ("left organ", "right organ") if self.organs else ()
        classes = ("background", *organs, "lesion")
        return Spec(self.channels, len(self.size), self.size, "mask", classes, modality="synthetic phantom")

    def sample(self, index: int) -> Sample:
        """Return one phantom with its mask."""
        import numpy as np

        scene, _ = self.scene(index)
        mask = np.zeros(scene.grid.shape[1:], np.uint8)
        if self.organs:
            for number, organ in ((1, 1), (2, 0)):  # x leads to the patient's left
                mask[organ_mask(scene.anatomy, organ, scene.grid) > 0.5] = number
        for lesion in scene.lesions:
            mask[lesion_mask(lesion, scene.grid) > 0.5] = len(self.spec.classes) - 1
        return Sample(self.read(index), mask, None, self._affine)

    @property
    def _affine(self) -> NDArray[np.float64] | None:
        """From indices (head, back, left) to mm (right, front, head)."""
        import numpy as np

        if len(self.size) == 2:
            return None
        depth, height, width = self.spacing
        affine = np.zeros((4, 4))
        affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = depth, -height, -width, 1
        return affine

    @property
    def cache(self) -> Path | None:
        """None: phantoms stay in memory."""
        return None

    def identity(self, index: int) -> str:
        """Return the case's number: the options decide the rest."""
        return f"{self.fingerprint()['sha256']}/{index}"

    _options = (*Phantom._options, "spacing", "organs")
