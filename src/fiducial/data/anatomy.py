"""The body and the lesions that a phantom is drawn from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Anatomy:
    """What a subject's images share, in body coordinates: x to the right, y downwards, z along the body.

    Attributes:
        axes: half axes of the body, `(2,)`.
        organs: x, y and half axes of each organ, `(organs, 4)`.
        grey: grey of tissue, wall, organs and spine, `(4,)`.
        waves: wave vector and phase of each wave of the texture, `(waves, 4)`.
    """

    axes: Floats
    organs: Floats
    grey: Floats
    waves: Floats


@dataclass(frozen=True)
class Lesion:
    """One lesion.

    Attributes:
        kind: a key of `LESIONS`.
        centre: x, y, z in body coordinates, `(3,)`.
        radius: in body coordinates, where the image is 2 wide.
        angle: rotation in the xy plane, in radians.
        contrast: grey that is added where the lesion is.
    """

    kind: str
    centre: Floats
    radius: float
    angle: float
    contrast: float


@dataclass(frozen=True)
class Scene:
    """What one image shows.

    Attributes:
        anatomy: of the subject.
        lesions: what there is to be found.
        spots: what may be taken for a lesion.
        grid: body coordinates of every pixel, `(dims, *spatial)`.
    """

    anatomy: Anatomy
    lesions: Sequence[Lesion]
    spots: Sequence[Lesion]
    grid: Floats


def draw_anatomy(rng: np.random.Generator) -> Anatomy:
    """Draw one subject's anatomy."""
    import numpy as np

    side = rng.uniform(0.38, 0.48)
    low, high = (-0.15, 0.18, 0.3), (0.05, 0.28, 0.45)
    organs = [[sign * side, *rng.uniform(low, high)] for sign in (-1, 1)]
    waves = np.concatenate([rng.normal(0, 7, (6, 3)), rng.uniform(0, 2 * np.pi, (6, 1))], axis=1)
    grey = np.array([0.45, 0.65, 0.22, 0.85]) + rng.normal(0, 0.03, 4)
    axes = rng.uniform((0.8, 0.65), (0.95, 0.85))
    return Anatomy(*(np.asarray(part, dtype=np.float32) for part in (axes, organs, grey, waves)))


def draw_lesion(rng: np.random.Generator, kind: str, *, contrast: float, radius: float | None = None) -> Lesion:
    """Draw a lesion's place within the body and its angle; its radius too, unless given."""
    import numpy as np

    turn, reach, along = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.5), rng.uniform(-0.5, 0.5)
    centre = np.array([reach * np.cos(turn), 0.8 * reach * np.sin(turn), along], dtype=np.float32)
    size, angle = rng.uniform(0.2, 0.3), rng.uniform(0, 2 * np.pi)
    return Lesion(kind, centre, float(size if radius is None else radius), float(angle), float(contrast))


def body_grid(size: Sequence[int], *, angle: float, shift: NDArray[Any], scale: float) -> Floats:
    """Return body coordinates of every pixel of an image taken in some pose.

    Args:
        size: extent in pixels, `(height, width)` or `(depth, height, width)`.
        angle: rotation in the xy plane, in radians.
        shift: shift along x and y, `(2,)`.
        scale: magnification.

    Returns:
        x, y and, for three extents, z of every pixel, `(dims, *size)`, from about -1 to 1.
    """
    import numpy as np

    # Pixel centres, so that a single frame lies in the middle of the body.
    along = [((2 * np.arange(extent) + 1) / extent - 1).astype(np.float32) for extent in size]
    *z, y, x = np.meshgrid(*along, indexing="ij")
    cos, sin = np.float32(np.cos(angle) / scale), np.float32(np.sin(angle) / scale)
    across, down = np.asarray(shift, dtype=np.float32)
    return np.stack([cos * x + sin * y + across, cos * y - sin * x + down, *z])


def render(anatomy: Anatomy, lesions: Sequence[Lesion], grid: Floats) -> Floats:
    """Return the noise-free image of an anatomy with lesions, grey 0 to 1, `(*spatial)`.

    Args:
        anatomy: the subject's anatomy.
        lesions: lesions and other spots to add.
        grid: body coordinates of every pixel, `(dims, *spatial)`.
    """
    import numpy as np

    x, y = grid[:2]
    z = grid[2] if len(grid) == 3 else np.float32(0)
    taper = 1 - 0.25 * z**2
    radius = (x / (anatomy.axes[0] * taper)) ** 2 + (y / (anatomy.axes[1] * taper)) ** 2
    tissue, wall, organ, spine = anatomy.grey
    image = np.full_like(x, tissue)
    for a, b, c, phase in anatomy.waves:
        image += 0.03 * np.sin(a * x + b * y + c * z + phase)
    for number in range(len(anatomy.organs)):
        image += (organ - tissue) * organ_mask(anatomy, number, grid)
    image += (spine - tissue) * _step(1 - (x**2 + (y - 0.55) ** 2) / 0.015)
    image += (wall - tissue) * _step(radius - 0.8)
    for lesion in lesions:
        image += lesion.contrast * lesion_mask(lesion, grid)
    return np.asarray(np.clip(image * _step(1 - radius), 0, 1), dtype=np.float32)


def organ_mask(anatomy: Anatomy, number: int, grid: Floats) -> Floats:
    """Return how far each pixel belongs to an organ, 0 to 1, `(*spatial)`; organ 0 lies at lower x than organ 1."""
    x, y = grid[:2]
    z = grid[2] if len(grid) == 3 else 0.0 * x
    cx, cy, ax, ay = anatomy.organs[number]
    mask: Floats = _step(1 - ((x - cx) / ax) ** 2 - ((y - cy) / ay) ** 2 - (0.8 * z) ** 2)
    return mask


def lesion_mask(lesion: Lesion, grid: Floats) -> Floats:
    """Return how far each pixel belongs to a lesion, 0 to 1, `(*spatial)`.

    A 2D grid cuts every lesion through its middle.
    """
    import numpy as np

    x, y = ((axis - at) / lesion.radius for axis, at in zip(grid[:2], lesion.centre, strict=False))
    z = (grid[2] - lesion.centre[2]) / lesion.radius if len(grid) == 3 else np.zeros_like(x)
    cos, sin = np.float32(np.cos(lesion.angle)), np.float32(np.sin(lesion.angle))
    level = LESIONS[lesion.kind](cos * x + sin * y, cos * y - sin * x, z)
    return np.asarray(_step(level), dtype=np.float32)


def _step(level: Any) -> Any:
    """Return a soft step: 0 where `level` is negative, 1 where it is well above 0."""
    import numpy as np

    return np.clip(0.5 + 3 * level, 0, 1)


def _box(x: Any, y: Any, z: Any, width: float, height: float) -> Any:
    """Return the level of a box with half extents `width`, `height` and 1."""
    import numpy as np

    return 1 - np.maximum(np.maximum(abs(x) / width, abs(y) / height), abs(z))


def _ball(x: Any, y: Any, z: Any, radius: float = 1.0) -> Any:
    """Return the level of a ball."""
    return 1 - (x**2 + y**2 + z**2) / radius**2


def _any(*levels: Any) -> Any:
    """Return the level of a union."""
    import numpy as np

    return np.maximum.reduce(levels)


def _all(*levels: Any) -> Any:
    """Return the level of an intersection."""
    import numpy as np

    return np.minimum.reduce(levels)


# Level sets in a lesion's own coordinates, where its radius is 1: positive inside.
LESIONS: Mapping[str, Callable[[Any, Any, Any], Any]] = {
    "disc": lambda x, y, z: _ball(x, y, z),
    "ring": lambda x, y, z: _all(_ball(x, y, z, 1.1), -_ball(x, y, z, 0.7)),
    "bar": lambda x, y, z: _box(x, y, z, 1.4, 0.35),
    "cross": lambda x, y, z: _any(_box(x, y, z, 1.2, 0.3), _box(x, y, z, 0.3, 1.2)),
    "square": lambda x, y, z: _box(x, y, z, 0.9, 0.9),
    "triangle": lambda x, y, z: _all(0.6 - y, 0.6 + y / 2 - 0.87 * x, 0.6 + y / 2 + 0.87 * x, 1 - abs(z)),
    "crescent": lambda x, y, z: _all(_ball(x, y, z, 1.1), -_ball(x - 0.5, y, z, 0.9)),
    "pair": lambda x, y, z: _any(_ball(x - 0.8, y, z, 0.55), _ball(x + 0.8, y, z, 0.55)),
    "shell": lambda x, y, z: _any(_ball(x, y, z, 0.4), _all(_ball(x, y, z, 1.3), -_ball(x, y, z, 1.0))),
    "cluster": lambda x, y, z: _any(
        *(_ball(x - dx, y - dy, z, 0.35) for dx in (-0.8, 0, 0.8) for dy in (-0.8, 0, 0.8))
    ),
}
