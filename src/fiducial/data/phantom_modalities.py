"""Phantoms of several modalities, a lesion being seen in one of them only."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fiducial.data.anatomy import render
from fiducial.data.phantom import Phantom
from fiducial.data.phantom_masks import PhantomMasks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class PhantomModalities(Phantom):
    """Make phantoms whose channels show one body, and its lesions in one channel only, drawn for each image.

    No channel alone tells more than its share of the lesions. Labels are told of images; for masks see
    `PhantomModalityMasks`.

    Args:
        channels: number of modalities.
        **options: see `Phantom`.
    """

    def __init__(self, *, channels: int = 2, **options: Any) -> None:
        super().__init__(channels=channels, **options)

    def _make(self, index: int) -> NDArray[np.uint8]:
        return _with_lesions_in_one(self, index)


class PhantomModalityMasks(PhantomMasks):
    """Make phantoms of several modalities with masks; each image's lesions are seen in one channel only.

    Args:
        channels: number of modalities.
        **options: see `PhantomMasks`.
    """

    def __init__(self, *, channels: int = 2, **options: Any) -> None:
        super().__init__(channels=channels, **options)

    def _make(self, index: int) -> NDArray[np.uint8]:
        return _with_lesions_in_one(self, index)


def showing(source: Phantom, index: int) -> int:
    """Return the channel that shows the lesions of an image."""
    import numpy as np

    return int(np.random.default_rng([source.seed, 4, index]).integers(source.channels))


def _with_lesions_in_one(source: Phantom, index: int) -> NDArray[np.uint8]:
    import numpy as np

    scene, rng = source.scene(index)
    healthy = replace(scene, lesions=[])
    channels = []
    for channel in range(source.channels):
        seen = scene if channel == showing(source, index) else healthy
        channels.append(render(seen.anatomy, [*seen.lesions, *seen.spots], seen.grid) ** (1 + 0.5 * channel))
    noisy = np.stack(channels) + source.noise * rng.standard_normal((len(channels), *scene.grid.shape[1:]), np.float32)
    return np.asarray(np.rint(255 * noisy.clip(0, 1)), dtype=np.uint8)
