"""Synthetic CT-like phantoms: a deterministic stand-in for images, so that every task runs with no download."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, get_args

from fiducial.data.anatomy import LESIONS, Lesion, Scene, body_grid, draw_anatomy, draw_lesion, render
from fiducial.data.source import Cases, Source, Spec, Target
from fiducial.data.splits import by_subject
from fiducial.errors import InputError, nearest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Part of the fingerprint: it goes up whenever the same options give other pixels.
GENERATOR = 1
IN_MEMORY = 1 << 30  # bytes above which images are made one at a time
AT_HAND = 1 << 24  # bytes that are made in some ten seconds
MAX_CLASSES = 10


class Phantom(Source):
    """Make synthetic CT-like images of subjects with and without lesions.

    An elliptic body with a wall, two organs, a spine and a texture belongs to the subject; pose, noise,
    harmless spots and the lesion's place belong to the image. All images of a subject share its label.
    Every case is a function of (options, seed, subject, image) and can be made alone, in any order.
    Results on phantoms show that code runs; they are never evidence about a method.

    Args:
        num_subjects: number of subjects.
        images_per_subject: number of images of each subject.
        size: extent in pixels, `(height, width)` or `(depth, height, width)`.
        channels: number of channels; channels after the first are the same body with another contrast.
        target: "binary" (lesion or none), "multiclass" (kind of lesion), "multilabel" (any of several
            kinds together) or "ordinal" (how large and dense the lesion is).
        num_classes: number of classes or labels, 2 to 10; default 2 for binary, else 4.
        prior: probability of each class, or of each label for "multilabel"; default even, or 0.3 each.
        sequence: frames along the first axis of a 3D size differ in number from case to case.
        min_length: least number of frames of a sequence; the greatest is `size[0]`.
        noise: standard deviation of the noise, as a share of the grey range.
        difficulty: 0 (lesions are plain to see) to 1 (most are lost in the texture).
        seed: seed of everything drawn.

    Raises:
        InputError: an option is out of its range.
    """

    def __init__(
        self,
        *,
        num_subjects: int = 400,
        images_per_subject: int = 2,
        size: Sequence[int] = (32, 32),
        channels: int = 1,
        target: Target = "binary",
        num_classes: int | None = None,
        prior: Sequence[float] | None = None,
        sequence: bool = False,
        min_length: int = 4,
        noise: float = 0.06,
        difficulty: float = 0.5,
        seed: int = 0,
    ) -> None:
        self.num_subjects = num_subjects
        self.images_per_subject = images_per_subject
        self.size = tuple(int(extent) for extent in size)
        self.channels = channels
        self.target = target
        self.num_classes = num_classes if num_classes is not None else 2 if target == "binary" else 4
        self.sequence = sequence
        self.min_length = min_length
        self.noise = noise
        self.difficulty = difficulty
        self.seed = seed
        self._check()
        self.prior = self._prior(prior)

    def _check(self) -> None:
        """Raise InputError for the first option that is out of its range."""
        if self.target not in get_args(Target):
            raise InputError(
                f"phantom: target must be one of {', '.join(get_args(Target))}; got {self.target!r}"
                f"{nearest(str(self.target), get_args(Target))}"
            )
        most = 2 if self.target == "binary" else MAX_CLASSES
        smallest = 8 if not self.sequence else 1
        expectations = [
            (self.num_subjects >= 3, "num_subjects", "3 or more", self.num_subjects),
            (self.images_per_subject >= 1, "images_per_subject", "1 or more", self.images_per_subject),
            (
                len(self.size) in (2, 3) and min(self.size[-2:]) >= 8 and min(self.size) >= smallest,
                "size",
                "2 or 3 extents of at least 8 pixels",
                list(self.size),
            ),
            (self.channels >= 1, "channels", "1 or more", self.channels),
            (
                2 <= self.num_classes <= most,
                "num_classes",
                f"2 to {most} for {self.target}",
                self.num_classes,
            ),
            (not self.sequence or len(self.size) == 3, "size", "(frames, height, width)", list(self.size)),
            (
                not self.sequence or 1 <= self.min_length <= self.size[0],
                "min_length",
                f"1 to {self.size[0]}",
                self.min_length,
            ),
            (0 <= self.noise <= 1, "noise", "0 to 1", self.noise),
            (0 <= self.difficulty <= 1, "difficulty", "0 to 1", self.difficulty),
            (self.seed >= 0, "seed", "0 or more", self.seed),
        ]
        for holds, option, expected, got in expectations:
            if not holds:
                raise InputError(f"phantom: {option} must be {expected}; got {got}")

    def _prior(self, prior: Sequence[float] | None) -> tuple[float, ...]:
        """Return the probability of each class, or of each label."""
        multilabel = self.target == "multilabel"
        if prior is None:
            return (0.3,) * self.num_classes if multilabel else (1 / self.num_classes,) * self.num_classes
        values = tuple(float(probability) for probability in prior)
        sums = multilabel or abs(sum(values) - 1) < 1e-6
        if len(values) != self.num_classes or min(values) < 0 or max(values) > 1 or not sums:
            rule = "each from 0 to 1" if multilabel else "that sum to 1"
            raise InputError(f"phantom: prior must be {self.num_classes} probabilities {rule}; got {list(values)}")
        return values

    @cached_property
    def spec(self) -> Spec:
        """What phantoms and their labels are like."""
        return Spec(
            channels=self.channels,
            spatial_dims=len(self.size),
            size=self.size,
            target=self.target,
            classes=self._classes,
            sequence=self.sequence,
            modality="synthetic phantom",
        )

    @property
    def _classes(self) -> tuple[str, ...]:
        kinds = tuple(LESIONS)
        if self.target == "binary":
            return "no lesion", "lesion"
        if self.target == "multiclass":
            return "no lesion", *kinds[: self.num_classes - 1]
        if self.target == "multilabel":
            return kinds[: self.num_classes]
        return tuple(f"grade {grade}" for grade in range(self.num_classes))

    @cached_property
    def cases(self) -> Cases:
        """The table of cases: subjects in order, the images of a subject one after the other."""
        import numpy as np

        subjects = np.array([f"subject{number:05d}" for number in range(self.num_subjects)])
        labels = self._labels
        split = by_subject(subjects, labels, seed=self.seed)
        subject = np.repeat(subjects, self.images_per_subject)
        image = np.tile(np.arange(self.images_per_subject), self.num_subjects)
        case = np.array([f"phantom/{s}/{i:02d}" for s, i in zip(subject, image, strict=True)])
        repeats = self.images_per_subject
        return Cases(case, subject, np.repeat(split, repeats), np.repeat(labels, repeats, axis=0))

    @cached_property
    def _labels(self) -> NDArray[np.int64]:
        """Label of every subject, `(subjects,)` or `(subjects, labels)`, in proportion to the prior."""
        import numpy as np

        # A sequence of even spread: any number of subjects has nearly the wanted proportions.
        start = np.random.default_rng([self.seed, 0]).random(self.num_classes)
        golden = (np.sqrt(5) - 1) / 2
        if self.target != "multilabel":
            even = (start[0] + golden * np.arange(self.num_subjects)) % 1
            edges = np.cumsum(self.prior)[:-1]
            return np.asarray(np.searchsorted(edges, even, side="right"), dtype=np.int64)
        draws = np.random.default_rng([self.seed, 1]).random((self.num_subjects, self.num_classes))
        return (draws < np.array(self.prior)).astype(np.int64)

    def read(self, index: int) -> NDArray[Any]:
        """Return the image of one case, `(channels, *spatial)` uint8; a sequence has its own length."""
        import numpy as np

        if (array := self.pixels()) is not None:
            return np.asarray(array[index])
        return self._make(index)

    def pixels(self) -> NDArray[Any] | None:
        """Return all images, `(cases, channels, *spatial)` uint8; None for sequences and for large sets."""
        return self._array

    @property
    def is_at_hand(self) -> bool:
        """Whether there are few enough."""
        return not self.sequence and math.prod(self._shape) <= AT_HAND

    @property
    def _shape(self) -> tuple[int, ...]:
        return (self.num_subjects * self.images_per_subject, self.channels, *self.size)

    @cached_property
    def _array(self) -> NDArray[np.uint8] | None:
        import numpy as np

        if self.sequence or math.prod(self._shape) > IN_MEMORY:
            return None
        array = np.empty(self._shape, dtype=np.uint8)
        for index in range(len(array)):
            array[index] = self._make(index)
        return array

    def _make(self, index: int) -> NDArray[np.uint8]:
        """Make the image of one case."""
        import numpy as np

        scene, rng = self.scene(index)
        clean = render(scene.anatomy, [*scene.lesions, *scene.spots], scene.grid)
        # Later channels darken the same body, as another contrast of the same scan would.
        channels = np.stack([clean ** (1 + 0.5 * channel) for channel in range(self.channels)])
        noisy = channels + self.noise * rng.standard_normal(channels.shape, dtype=np.float32)
        return np.asarray(np.rint(255 * noisy.clip(0, 1)), dtype=np.uint8)

    def scene(self, index: int) -> tuple[Scene, np.random.Generator]:
        """Return what the image of a case shows, drawn from its own generators, and the one that draws its noise."""
        import numpy as np

        subject, image = divmod(int(index), self.images_per_subject)
        rng = np.random.default_rng([self.seed, 2, subject, image])
        size = self.size
        if self.sequence:
            size = (int(rng.integers(self.min_length, self.size[0] + 1)), *self.size[1:])
        anatomy = draw_anatomy(np.random.default_rng([self.seed, 3, subject]))
        grid = body_grid(size, angle=rng.normal(0, 0.05), shift=rng.normal(0, 0.03, 2), scale=rng.normal(1, 0.03))
        lesions = self._lesions(self._labels[subject], rng)
        spots = [draw_lesion(rng, "disc", contrast=rng.uniform(0.1, 0.3), radius=0.08) for _ in range(2)]
        return Scene(anatomy, lesions, spots, grid), rng

    def _lesions(self, label: NDArray[np.int64], rng: np.random.Generator) -> list[Lesion]:
        """Draw the lesions that a label asks for."""
        kinds = tuple(LESIONS)
        ease = 1 - self.difficulty
        contrast = rng.uniform(0.02 + 0.4 * ease**2, 0.12 + 0.6 * ease)
        if self.target == "multilabel":
            return [draw_lesion(rng, kinds[i], contrast=contrast) for i in label.nonzero()[0]]
        if label == 0:
            return []
        if self.target == "multiclass":
            return [draw_lesion(rng, kinds[int(label) - 1], contrast=contrast)]
        kind = kinds[int(rng.integers(3))]
        if self.target == "binary":
            return [draw_lesion(rng, kind, contrast=contrast)]
        grade = (int(label) + rng.normal(0, 0.3 * self.difficulty)) / (self.num_classes - 1)
        return [draw_lesion(rng, "disc", contrast=contrast + 0.3 * grade, radius=0.08 + 0.2 * grade)]

    def fingerprint(self) -> Mapping[str, str]:
        """Return the hash of the options and the generator's version: they decide every pixel."""
        options = {key: value for key, value in vars(self).items() if key in self._options}
        text = json.dumps({"generator": GENERATOR, **options}, sort_keys=True)
        return {"sha256": hashlib.sha256(text.encode()).hexdigest(), "kind": "phantom", "options": text}

    _options: tuple[str, ...] = (
        "num_subjects",
        "images_per_subject",
        "size",
        "channels",
        "target",
        "num_classes",
        "prior",
        "sequence",
        "min_length",
        "noise",
        "difficulty",
        "seed",
    )
