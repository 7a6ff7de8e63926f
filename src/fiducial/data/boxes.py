"""Boxes in pixels, and how they follow an image that is resized or padded.

A box is half open: along an axis it reaches from `low` to `high`, pixel `i` covers `[i, i + 1)`, and the box of pixels
3 to 6 is `[3, 7)`, 4 wide. In arrays the low ends of all axes come first, in the order of the image's axes (rows before
columns, slices before rows); in tables and JSON x is the last axis, y the one before it, z the first of a volume.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Corners = NDArray[np.float32]


@dataclass(frozen=True)
class Boxes:
    """The boxes of one case.

    Attributes:
        corners: low ends, then high ends, in pixels, `(boxes, 2 * dims)` float32.
        label: class number of each, `(boxes,)` int64.
    """

    corners: Corners
    label: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.label)

    @classmethod
    def of(cls, corners: Any, label: Any, dims: int) -> Boxes:
        """Return boxes from what can be made into arrays; none are allowed."""
        import numpy as np

        return cls(np.asarray(corners, np.float32).reshape(-1, 2 * dims), np.asarray(label, np.int64).reshape(-1))


@dataclass(frozen=True)
class Frame:
    """Where the pixels of a case's file lie in the image that the network sees, and in the patient.

    Attributes:
        scale: pixels of the network's image a pixel of the file, along each axis.
        offset: where the file's first pixel begins, in pixels of the network's image.
        affine: from indices in array order to mm (RAS+), `(4, 4)`; None for pictures.
    """

    scale: tuple[float, ...]
    offset: tuple[float, ...]
    affine: NDArray[np.float64] | None = None

    def seen(self, corners: Corners) -> Corners:
        """Return boxes of the file as the network sees them."""
        import numpy as np

        return np.asarray(corners * np.tile(self.scale, 2) + np.tile(self.offset, 2), np.float32)

    def own(self, corners: Corners, size: Sequence[int] | None = None) -> Corners:
        """Return boxes that the network sees in pixels of the file; with its size, what of them lies within it."""
        import numpy as np

        found = np.asarray((corners - np.tile(self.offset, 2)) / np.tile(self.scale, 2), np.float32)
        return found if size is None else found.clip(0, np.tile(np.asarray(size, np.float32), 2))

    @property
    def seen_affine(self) -> NDArray[np.float64]:
        """From indices of the network's image to mm; a file without geometry has slices, rows and columns of 1 mm."""
        import numpy as np

        own = np.eye(4)[[2, 1, 0, 3]] * [[-1], [-1], [1], [1]] if self.affine is None else self.affine
        turned = np.diag([*(1 / step for step in self.scale), 1.0])
        turned[:3, 3] = [(0.5 - start) / step - 0.5 for start, step in zip(self.offset, self.scale, strict=True)]
        result: NDArray[np.float64] = np.asarray(own, np.float64) @ turned
        return result

    def in_mm(self, corners: Corners) -> NDArray[np.float64]:
        """Return boxes of the file in mm, `(boxes, 6)`: low x, y, z, then high; of a turned volume what holds them."""
        assert self.affine is not None
        return _moved(corners, self.affine, shift=-0.5)


def from_mm(corners: NDArray[np.float64], affine: NDArray[np.float64]) -> Corners:
    """Return boxes in mm as boxes in pixels of the array that the affine belongs to."""
    import numpy as np

    back: NDArray[np.float64] = np.asarray(np.linalg.inv(affine), np.float64)
    return np.asarray(_moved(corners, back) + 0.5, np.float32)


def xyz(corners: NDArray[Any]) -> NDArray[Any]:
    """Return boxes with their axes the other way round: array order as x, y, z, or x, y, z as array order."""
    import numpy as np

    dims = corners.shape[1] // 2
    return np.concatenate([corners[:, dims - 1 :: -1], corners[:, : dims - 1 : -1]], axis=1)


def _moved(corners: NDArray[Any], affine: NDArray[np.float64], shift: float = 0.0) -> NDArray[np.float64]:
    """Return the boxes around all eight corners of each box, once mapped."""
    import numpy as np

    ends = corners.reshape(-1, 2, 3).astype(np.float64) + shift
    which = np.array(list(np.ndindex(2, 2, 2)))
    points = ends[:, which, np.arange(3)]  # (boxes, 8, 3)
    mapped = points @ affine[:3, :3].T + affine[:3, 3]
    return np.concatenate([mapped.min(axis=1), mapped.max(axis=1)], axis=1)
