"""Augmentation of a whole batch at a time, on the device it is on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from fiducial.errors import InputError
from fiducial.types import Bool, Float, Int, Shaped, Tensor

Image = Float[Tensor, "batch channels *spatial"]
Mask = Shaped[Tensor, "batch *spatial"]


@dataclass(frozen=True)
class Sides:
    """The spatial axis from one side of the patient to the other, and the number of each class once mirrored."""

    axis: int
    classes: tuple[int, ...]


def _uniform(shape: tuple[int, ...], low: float, high: float, draw: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=draw, device=draw.device) * (high - low) + low


def _mirrored(values: Tensor, axis: int, chosen: Bool[Tensor, " batch"]) -> Tensor:
    """Mirror the chosen members of a batch along a spatial axis."""
    chosen = chosen.view(-1, *[1] * (values.ndim - 1))
    return torch.where(chosen, values.flip(axis if axis < 0 else axis + 2), values)


def affine(
    image: Image,
    matrix: Float[Tensor, "batch dims dims"],
    shift: Float[Tensor, "batch dims"],
    *,
    mode: str = "bilinear",
    outside: str = "border",
) -> Image:
    """Resample each image at `matrix @ x + shift`, x in voxel coordinates from the centre.

    Outside the image its border repeats, or there are `zeros`.

    Axes are in array order. Rotation and zoom are in voxels, so that images that are not square keep angles.
    """
    dims = image.ndim - 2
    size = torch.tensor(image.shape[2:], dtype=image.dtype, device=image.device)
    # grid_sample counts axes from the last, in units of half the extent
    scaled = matrix * (size[None, None, :] / size[None, :, None])
    theta = torch.cat([scaled.flip(1, 2), (shift * 2 / size).flip(1)[..., None]], dim=2)
    grid = F.affine_grid(theta, list(image.shape), align_corners=False)
    assert grid.shape[-1] == dims
    return F.grid_sample(image, grid, mode=mode, padding_mode=outside, align_corners=False)


def rotation(angle: Float[Tensor, " batch"], dims: int, plane: tuple[int, int]) -> Float[Tensor, "batch d d"]:
    """Return matrices that rotate by `angle` (radians) in the plane of two axes."""
    matrix = torch.eye(dims, device=angle.device).repeat(len(angle), 1, 1)
    first, second = plane
    matrix[:, first, first] = matrix[:, second, second] = angle.cos()
    matrix[:, first, second], matrix[:, second, first] = -angle.sin(), angle.sin()
    return matrix


def _moved(low: Tensor, high: Tensor, matrix: Tensor, shift: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """Return the boxes around boxes `(batch, most, dims)` in images that `affine` resampled."""
    dims = low.shape[-1]
    which = torch.cartesian_prod(*[torch.arange(2, device=low.device)] * dims).view(-1, dims, 1)
    ends = torch.stack([low, high], dim=-1)[:, :, None].expand(-1, -1, len(which), -1, -1)
    corners = ends.gather(-1, which.expand(*ends.shape[:-1], 1))[..., 0]  # (batch, most, 2 ** dims, dims)
    centred = corners - size / 2 - shift[:, None, None]
    moved = torch.einsum("bij,bkcj->bkci", torch.linalg.inv(matrix), centred) + size / 2
    return moved.amin(2), moved.amax(2)


class Augment:
    """Random changes of training images, each image its own, drawn from a given generator.

    Geometry first (flip, then rotation, zoom and shift in one resampling), then intensities, which are meant for 0..1.

    Args:
        flip_axes: spatial axes along which images are mirrored; 0 is the first (rows, or slices), -1 the last.
        rotate: greatest angle, in degrees. Of volumes in the plane of the last two axes; of those with masks in the
            axial plane, where `data.prepare.orientation` tells it, and in mm.
        zoom: lowest and highest magnification.
        shift: greatest translation, as a part of the extent.
        probability: of each of flip, rotation, zoom and shift, for each image.
        brightness: greatest addition.
        contrast: greatest relative change around the image's mean.
        gamma: lowest and highest exponent, of values in 0..1; of an image that leaves that, within its own range.
        noise: greatest standard deviation of Gaussian noise.

    Raises:
        InputError: a range is the wrong way round or out of its bounds.
    """

    def __init__(
        self,
        *,
        flip_axes: Sequence[int] = (),
        rotate: float = 0.0,
        zoom: Sequence[float] = (1.0, 1.0),
        shift: float = 0.0,
        probability: float = 0.5,
        brightness: float = 0.0,
        contrast: float = 0.0,
        gamma: Sequence[float] = (1.0, 1.0),
        noise: float = 0.0,
    ) -> None:
        for name, bounds in (("zoom", zoom), ("gamma", gamma)):
            if len(bounds) != 2 or not 0 < bounds[0] <= bounds[1]:
                raise InputError(f"augment.{name} must be [low, high] with 0 < low <= high; got {list(bounds)}")
        if not 0 <= probability <= 1:
            raise InputError(f"augment.probability must be between 0 and 1; got {probability}")
        if min(rotate, shift, brightness, contrast, noise) < 0:
            raise InputError("augment: rotate, shift, brightness, contrast and noise must not be negative")
        self.flip_axes, self.probability = tuple(flip_axes), probability
        self.rotate, self.zoom, self.shift = math.radians(rotate), tuple(zoom), shift
        self.brightness, self.contrast, self.gamma, self.noise = brightness, contrast, tuple(gamma), noise

    def __call__(self, image: Image, draw: torch.Generator, length: Int[Tensor, " batch"] | None = None) -> Image:
        """Return a changed copy of a batch of images in 0..1.

        Of sequences `length` gives the number of frames, along the first spatial axis. All frames of one move alike,
        and none along that axis: a sequence keeps its length, and the padding behind it stays there.
        """
        return self._changed(image, draw, length, None)[0]

    def with_labels(
        self,
        image: Image,
        label: Int[Tensor, " batch *classes"],
        draw: torch.Generator,
        sides: Sides | None = None,
        length: Int[Tensor, " batch"] | None = None,
    ) -> tuple[Image, Tensor]:
        """Return changed copies of images, and their labels: class numbers, or a flag a class.

        A patient mirrored from side to side has each class of `sides` on the other side.
        """
        image, across = self._changed(image, draw, length, sides)
        if sides is None:
            return image, label
        classes = torch.tensor(sides.classes, device=label.device)
        swapped = classes[label] if label.ndim == 1 else label[:, classes]  # mirrored twice, each is itself again
        return image, torch.where(across.view(-1, *[1] * (label.ndim - 1)), swapped, label)

    def _changed(
        self, image: Image, draw: torch.Generator, length: Int[Tensor, " batch"] | None, sides: Sides | None
    ) -> tuple[Image, Bool[Tensor, " batch"]]:
        """Return changed images, and which of them were mirrored from side to side."""
        self.check_axes(image.ndim - 2)
        across = torch.zeros(len(image), dtype=torch.bool, device=image.device)
        for axis in self.flip_axes:
            chosen = _uniform((len(image),), 0, 1, draw) < self.probability
            image = _mirrored(image, axis, chosen)
            if sides is not None and axis % (image.ndim - 2) == sides.axis:
                across = across ^ chosen
        if self._moves:
            matrix, shift = self._motion(image, draw)
            if length is not None:
                matrix[:, 0, 0], shift[:, 0] = 1, 0
            image = affine(image, matrix, shift)
        return self._recolour(image, draw, length), across

    def refuse_frames(self) -> None:
        """Refuse to mirror the first axis, of sequences that of frames.

        Raises:
            InputError: it is mirrored.
        """
        if any(axis in (0, -3) for axis in self.flip_axes):
            raise InputError(
                "augment.flip_axes: the first axis of sequences runs over their frames, which keep their order; "
                f"expected axes among 1, 2 (-2, -1), got {list(self.flip_axes)}"
            )

    def with_masks(
        self,
        image: Image,
        mask: Mask,
        region: Mask,
        draw: torch.Generator,
        sides: Sides | None = None,
        *,
        plane: tuple[int, int] | None = None,
        spacing: Float[Tensor, "batch dims"] | None = None,
    ) -> tuple[Image, Mask, Mask]:
        """Return changed copies of images, and of masks and regions that went through the same geometry.

        A patient mirrored from side to side has each class of `sides` on the other side. What comes into an image
        from beyond its border lies outside the region, and counts nowhere.

        Args:
            image: the images.
            mask: class numbers.
            region: where they count.
            draw: what is drawn from.
            sides: see `Sides`.
            plane: the two axes in which images are rotated; by default the last ones.
            spacing: distance of neighbours along each axis: angles are kept in its unit; by default in pixels.
        """
        self.check_axes(image.ndim - 2)
        dims, flat = image.ndim - 2, torch.stack([mask, region.to(mask.dtype)], dim=1)
        for axis in self.flip_axes:
            chosen = _uniform((len(image),), 0, 1, draw) < self.probability
            image, flat = _mirrored(image, axis, chosen), _mirrored(flat, axis, chosen)
            if sides is not None and axis % dims == sides.axis:
                swapped = torch.tensor(sides.classes, dtype=mask.dtype, device=mask.device)[flat[:, 0].long()]
                flat[:, 0] = torch.where(chosen.view(-1, *[1] * dims), swapped, flat[:, 0])
        if self._moves:
            matrix, shift = self._motion(image, draw, plane)
            if spacing is not None:
                matrix = matrix * (spacing[:, None, :] / spacing[:, :, None])
            image = affine(image, matrix, shift)
            flat = affine(flat.float(), matrix, shift, mode="nearest", outside="zeros").to(mask.dtype)
        return self._recolour(image, draw), flat[:, 0], flat[:, 1].bool()

    def with_boxes(
        self,
        image: Image,
        boxes: Float[Tensor, "batch most ends"],
        label: Int[Tensor, "batch most"],
        draw: torch.Generator,
        sides: Sides | None = None,
    ) -> tuple[Image, Tensor, Tensor]:
        """Return changed copies of images, and the boxes around what was in their boxes, cut off at the border.

        A box whose centre left the image is no longer there: its label becomes -1, as that of empty places is. A
        patient mirrored from side to side has each class of `sides` on the other side.
        """
        self.check_axes(image.ndim - 2)
        dims = image.ndim - 2
        size = torch.tensor(image.shape[2:], dtype=boxes.dtype, device=boxes.device)
        low, high, label = boxes[..., :dims].clone(), boxes[..., dims:].clone(), label.clone()
        for axis in self.flip_axes:
            chosen = _uniform((len(image),), 0, 1, draw) < self.probability
            image, along = _mirrored(image, axis, chosen), axis % dims
            ends = size[along] - high[..., along], size[along] - low[..., along]
            low[..., along] = torch.where(chosen[:, None], ends[0], low[..., along])
            high[..., along] = torch.where(chosen[:, None], ends[1], high[..., along])
            if sides is not None and along == sides.axis:
                swapped = torch.tensor(sides.classes, device=label.device)[label.clamp(min=0)]
                label = torch.where(chosen[:, None] & (label >= 0), swapped, label)
        if self._moves:
            matrix, shift = self._motion(image, draw)
            image = affine(image, matrix, shift)
            low, high = _moved(low, high, matrix, shift, size)
        centre = (low + high) / 2
        label = torch.where(((centre >= 0) & (centre < size)).all(-1), label, -1)
        cut = torch.cat([low.clamp(min=0).minimum(size), high.clamp(min=0).minimum(size)], dim=-1)
        return self._recolour(image, draw), cut, label

    def check_axes(self, dims: int) -> None:
        """Refuse to mirror an axis that images do not have.

        Raises:
            InputError: there is none of that number.
        """
        if any(not -dims <= axis < dims for axis in self.flip_axes):
            raise InputError(f"augment.flip_axes: images have {dims} axes; got {list(self.flip_axes)}")

    @property
    def _moves(self) -> bool:
        return bool(self.rotate or self.shift) or self.zoom != (1.0, 1.0)

    def _motion(
        self, image: Image, draw: torch.Generator, plane: tuple[int, int] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Draw a matrix and a shift for each image."""
        count, dims = len(image), image.ndim - 2
        on = (_uniform((3, count), 0, 1, draw) < self.probability).to(image.dtype)
        angle = _uniform((count,), -self.rotate, self.rotate, draw) * on[0]
        magnification = 1 + (_uniform((count,), self.zoom[0], self.zoom[1], draw) - 1) * on[1]
        size = torch.tensor(image.shape[2:], dtype=image.dtype, device=image.device)
        shift = _uniform((count, dims), -self.shift, self.shift, draw) * on[2, :, None] * size
        matrix = rotation(angle, dims, plane or (dims - 2, dims - 1)) / magnification[:, None, None]
        return matrix, shift

    def _recolour(self, image: Image, draw: torch.Generator, length: Int[Tensor, " batch"] | None = None) -> Image:
        each = (len(image), *[1] * (image.ndim - 1))
        if self.gamma != (1.0, 1.0):
            axes = tuple(range(1, image.ndim))  # of images that leave 0..1, such as standardised ones, their own range
            low, high = image.amin(axes, keepdim=True).clamp(max=0), image.amax(axes, keepdim=True).clamp(min=1)
            exponent = _uniform(each, self.gamma[0], self.gamma[1], draw)
            image = ((image - low) / (high - low)).clamp(min=0) ** exponent * (high - low) + low
        if self.contrast:
            mean = image.mean(dim=tuple(range(1, image.ndim)), keepdim=True)
            if length is not None:  # padding is 0, and does not count
                mean = mean * (image.shape[2] / length.to(image).view(each))
            image = mean + (image - mean) * (1 + _uniform(each, -self.contrast, self.contrast, draw))
        if self.brightness:
            image = image + _uniform(each, -self.brightness, self.brightness, draw)
        if self.noise:
            scale = _uniform(each, 0, self.noise, draw)
            image = image + scale * torch.randn(image.shape, generator=draw, device=image.device)
        return image
