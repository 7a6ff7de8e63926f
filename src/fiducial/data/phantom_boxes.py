"""Phantoms with any number of lesions, each in a box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from fiducial.data.anatomy import LESIONS, Lesion, Scene, draw_lesion, lesion_mask
from fiducial.data.boxed import BOXES, BoxedSource
from fiducial.data.boxes import Boxes, Frame
from fiducial.data.phantom import Phantom
from fiducial.data.source import Cases, Spec
from fiducial.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KINDS = ("disc", "square", "ring")  # what a lesion may look like where there is one class
NAMES = tuple(kind for kind in LESIONS if kind != "bar")  # classes by shape; a bar is what looks alike
TRIES = 50  # to place a lesion apart from the others
APART = 1.5  # least distance of two lesions' centres, as a part of their radii's sum


class PhantomBoxes(Phantom, BoxedSource):
    """Make synthetic CT-like images of subjects with no lesion or some, the box of each, and things that look alike.

    What looks alike are bright spots too small for a lesion, and bars, as vessels and ribs are. A subject without a
    lesion has none in any image. A lesion's box holds the pixels that belong to it by half or more. Volumes have array
    axes that lead to the head, the back and the patient's left.

    Args:
        target: "boxes", or "binary" for the image's label alone: whether there is a lesion.
        max_lesions: most lesions of an image; from 1 to so many are drawn where there are any.
        num_kinds: classes of lesions by shape; 1 for one class of several shapes.
        radius: least and greatest radius of a lesion, where the image is 2 wide.
        num_distractors: spots and bars of an image, each.
        spacing: of voxels in mm, `(depth, height, width)`; for volumes only.
        prior: probability of having no lesion, and of having some.
        **options: see `Phantom`: num_subjects, images_per_subject, size, channels, noise, difficulty, seed.

    Raises:
        InputError: an option is out of its range.
    """

    def __init__(
        self,
        *,
        target: Literal["boxes", "binary"] = "boxes",
        max_lesions: int = 3,
        num_kinds: int = 1,
        radius: Sequence[float] = (0.1, 0.22),
        num_distractors: int = 3,
        spacing: Sequence[float] = (2.0, 1.0, 1.0),
        prior: Sequence[float] = (0.3, 0.7),
        **options: Any,
    ) -> None:
        super().__init__(prior=prior, **options)
        expectations = [
            (target in (BOXES, "binary") and not self.sequence, "target", "boxes or binary, of single images", target),
            (max_lesions >= 1, "max_lesions", "1 or more", max_lesions),
            (1 <= num_kinds <= len(NAMES), "num_kinds", f"1 to {len(NAMES)}", num_kinds),
            (len(radius) == 2 and 0.02 <= radius[0] <= radius[1] <= 0.4, "radius", "[low, high]", list(radius)),
            (num_distractors >= 0, "num_distractors", "0 or more", num_distractors),
            (len(spacing) == 3 and min(spacing) > 0, "spacing", "three lengths in mm", list(spacing)),
        ]
        for holds, option, expected, got in expectations:
            if not holds:
                raise InputError(f"phantom_boxes: {option} must be {expected}; got {got}")
        self.learned = target
        self.max_lesions, self.num_kinds, self.num_distractors = max_lesions, num_kinds, num_distractors
        self.radius = (float(radius[0]), float(radius[1]))
        self.spacing = tuple(float(length) for length in spacing)

    @cached_property
    def spec(self) -> Spec:
        """What phantoms and their boxes are like."""
        lesions = ("lesion",) if self.num_kinds == 1 else NAMES[: self.num_kinds]
        target: Any = self.learned
        classes = lesions if target == BOXES else ("no lesion", "lesion")
        return Spec(self.channels, len(self.size), self.size, target, classes, modality="synthetic phantom")

    @cached_property
    def cases(self) -> Cases:
        """The table of cases."""
        cases = super().cases
        return replace(cases, label=cases.label * 0) if self.learned == BOXES else cases

    def scene(self, index: int) -> tuple[Scene, np.random.Generator]:
        """Return what the image of a case shows, and the generator that draws its noise."""
        scene, rng = super().scene(index)
        contrast = [rng.uniform(0.1, 0.35) for _ in range(2 * self.num_distractors)]
        spots = [draw_lesion(rng, "disc", contrast=value, radius=0.05) for value in contrast[::2]]
        bars = [draw_lesion(rng, "bar", contrast=value, radius=rng.uniform(0.1, 0.3)) for value in contrast[1::2]]
        return Scene(scene.anatomy, scene.lesions, [*spots, *bars], scene.grid), rng

    def _lesions(self, label: NDArray[np.int64], rng: np.random.Generator) -> list[Lesion]:
        """Draw lesions that lie apart."""
        count = int(rng.integers(1, self.max_lesions + 1)) if label else 0
        kinds = KINDS if self.num_kinds == 1 else NAMES[: self.num_kinds]
        ease = 1 - self.difficulty
        placed: list[Lesion] = []
        for _ in range(count * TRIES):
            contrast = rng.uniform(0.05 + 0.35 * ease**2, 0.15 + 0.5 * ease)
            kind = kinds[int(rng.integers(len(kinds)))]
            lesion = draw_lesion(rng, kind, contrast=contrast, radius=rng.uniform(*self.radius))
            if all(_apart(lesion, other) for other in placed):
                placed.append(lesion)
            if len(placed) == count:
                break
        return placed

    def truth(self, index: int) -> Boxes:
        """Return the boxes of a phantom's lesions; a volume's thinnest lesions may fall between its slices."""
        import numpy as np

        scene, _ = self.scene(index)
        found = []
        for lesion in scene.lesions:
            places = np.argwhere(lesion_mask(lesion, scene.grid) >= 0.5)
            if len(places):
                found.append((*places.min(axis=0), *(places.max(axis=0) + 1), self._number(lesion)))
        table = np.array(found, np.float32).reshape(-1, 2 * len(self.size) + 1)
        return Boxes.of(table[:, :-1], table[:, -1], len(self.size))

    def _number(self, lesion: Lesion) -> int:
        return 0 if self.num_kinds == 1 else NAMES.index(lesion.kind)

    def size_of(self, index: int) -> tuple[int, ...]:
        """Return the extent of a phantom."""
        return self.size

    def frame(self, index: int) -> Frame:
        """Return that a phantom is seen as it is."""
        import numpy as np

        dims = len(self.size)
        affine = None
        if dims == 3:
            depth, height, width = self.spacing
            affine = np.zeros((4, 4))
            affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = depth, -height, -width, 1
        return Frame((1.0,) * dims, (0.0,) * dims, affine)

    _options = (*Phantom._options, "learned", "max_lesions", "num_kinds", "num_distractors", "radius", "spacing")


def _apart(first: Lesion, second: Lesion) -> bool:
    import numpy as np

    distance = float(np.linalg.norm(first.centre[:2] - second.centre[:2]))
    return distance >= APART * (first.radius + second.radius)
