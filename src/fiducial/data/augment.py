"""Augmentation of a whole batch at a time, on the device it is on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch.nn import functional as F

from fiducial.errors import InputError
from fiducial.types import Float, Tensor

Image = Float[Tensor, "batch channels *spatial"]


def _uniform(shape: tuple[int, ...], low: float, high: float, draw: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=draw, device=draw.device) * (high - low) + low


def flip(image: Image, axes: Sequence[int], probability: float, draw: torch.Generator) -> Image:
    """Mirror each image along each of `axes` (0 is the first spatial axis, -1 the last) with the given probability."""
    for axis in axes:
        chosen = _uniform((len(image),), 0, 1, draw) < probability
        chosen = chosen.view(-1, *[1] * (image.ndim - 1))
        image = torch.where(chosen, image.flip(axis if axis < 0 else axis + 2), image)
    return image


def affine(image: Image, matrix: Float[Tensor, "batch dims dims"], shift: Float[Tensor, "batch dims"]) -> Image:
    """Resample each image at `matrix @ x + shift`, x in voxel coordinates from the centre; the border repeats.

    Axes are in array order. Rotation and zoom are in voxels, so that images that are not square keep angles.
    """
    dims = image.ndim - 2
    size = torch.tensor(image.shape[2:], dtype=image.dtype, device=image.device)
    # grid_sample counts axes from the last, in units of half the extent
    scaled = matrix * (size[None, None, :] / size[None, :, None])
    theta = torch.cat([scaled.flip(1, 2), (shift * 2 / size).flip(1)[..., None]], dim=2)
    grid = F.affine_grid(theta, list(image.shape), align_corners=False)
    assert grid.shape[-1] == dims
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)


def rotation(angle: Float[Tensor, " batch"], dims: int, plane: tuple[int, int]) -> Float[Tensor, "batch d d"]:
    """Return matrices that rotate by `angle` (radians) in the plane of two axes."""
    matrix = torch.eye(dims, device=angle.device).repeat(len(angle), 1, 1)
    first, second = plane
    matrix[:, first, first] = matrix[:, second, second] = angle.cos()
    matrix[:, first, second], matrix[:, second, first] = -angle.sin(), angle.sin()
    return matrix


class Augment:
    """Random changes of training images, each image its own, drawn from a given generator.

    Geometry first (flip, then rotation, zoom and shift in one resampling), then intensities of images in 0..1.

    Args:
        flip_axes: spatial axes along which images are mirrored; 0 is the first (rows, or slices), -1 the last.
        rotate: greatest angle, in degrees; in 3D in the plane of the last two axes.
        zoom: lowest and highest magnification.
        shift: greatest translation, as a part of the extent.
        probability: of each of flip, rotation, zoom and shift, for each image.
        brightness: greatest addition.
        contrast: greatest relative change around the image's mean.
        gamma: lowest and highest exponent.
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

    def __call__(self, image: Image, draw: torch.Generator) -> Image:
        """Return a changed copy of a batch of images in 0..1."""
        dims = image.ndim - 2
        if any(not -dims <= axis < dims for axis in self.flip_axes):
            raise InputError(f"augment.flip_axes: images have {dims} axes; got {list(self.flip_axes)}")
        image = flip(image, self.flip_axes, self.probability, draw)
        if self.rotate or self.shift or self.zoom != (1.0, 1.0):
            image = self._move(image, draw)
        return self._recolour(image, draw)

    def _move(self, image: Image, draw: torch.Generator) -> Image:
        count, dims = len(image), image.ndim - 2
        on = (_uniform((3, count), 0, 1, draw) < self.probability).to(image.dtype)
        angle = _uniform((count,), -self.rotate, self.rotate, draw) * on[0]
        magnification = 1 + (_uniform((count,), self.zoom[0], self.zoom[1], draw) - 1) * on[1]
        size = torch.tensor(image.shape[2:], dtype=image.dtype, device=image.device)
        shift = _uniform((count, dims), -self.shift, self.shift, draw) * on[2, :, None] * size
        matrix = rotation(angle, dims, (dims - 2, dims - 1)) / magnification[:, None, None]
        return affine(image, matrix, shift)

    def _recolour(self, image: Image, draw: torch.Generator) -> Image:
        each = (len(image), *[1] * (image.ndim - 1))
        if self.gamma != (1.0, 1.0):
            image = image.clamp(min=0) ** _uniform(each, self.gamma[0], self.gamma[1], draw)
        if self.contrast:
            mean = image.mean(dim=tuple(range(1, image.ndim)), keepdim=True)
            image = mean + (image - mean) * (1 + _uniform(each, -self.contrast, self.contrast, draw))
        if self.brightness:
            image = image + _uniform(each, -self.brightness, self.brightness, draw)
        if self.noise:
            scale = _uniform(each, 0, self.noise, draw)
            image = image + scale * torch.randn(image.shape, generator=draw, device=image.device)
        return image
