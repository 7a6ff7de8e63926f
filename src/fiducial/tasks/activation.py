"""Where a classifier looks: class-activation maps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from monai.visualize.class_activation_maps import GradCAM
from torch import nn

from fiducial.errors import InputError, nearest
from fiducial.types import Float, Tensor


class Activation:
    """Map what speaks for a class, by the gradients that reach the last layer with an extent in space.

    Selvaraju et al., Grad-CAM, arXiv 1610.02391, in MONAI's implementation.

    Args:
        network: gives `(batch, classes)` logits.
        image: any one, `(1, channels, *spatial)`, to see which layers keep an extent.
        layer: by its name in the network; None for the last one that keeps an extent.

    Attributes:
        layer: whose activations are mapped.

    Raises:
        InputError: there is no such layer.
    """

    def __init__(
        self, network: nn.Module, image: Float[Tensor, "1 channels *spatial"], layer: str | None = None
    ) -> None:
        layers = map_layers(network, image)
        if not layers:
            raise InputError("no layer of this network keeps an extent in space: nothing can be mapped")
        if layer is not None and layer not in layers:
            raise InputError(f"--layer {layer}: there is none{nearest(layer, layers)} (layers: {', '.join(layers)})")
        self.layer = layer or layers[-1]
        self._network, self._map = network, GradCAM(network, self.layer, postprocessing=_as_it_is)

    def __call__(
        self, image: Float[Tensor, "1 channels *spatial"], output: int, *, against: bool = False
    ) -> Float[Tensor, " *spatial"]:
        """Return how much each pixel speaks for an output of the network, or against it.

        From 0; the most is 1 if any does.
        """
        watched = image.detach().clone().requires_grad_()  # so that gradients reach the first layer as any other
        with _negated(self._network) if against else nullcontext():
            found: Tensor = self._map(watched, class_idx=output)[0, 0].detach()
        return found / found.max() if float(found.max()) > 0 else found


def map_layers(network: nn.Module, image: Float[Tensor, "1 channels *spatial"]) -> list[str]:
    """Return the names of layers that are used once and give maps of more than one cell, in the order of their work."""
    seen: list[tuple[str, bool]] = []

    def watch(name: str) -> object:
        def note(_: nn.Module, __: object, output: object) -> None:
            is_map = isinstance(output, Tensor) and output.ndim == image.ndim and output.shape[2:].numel() > 1
            seen.append((name, is_map))

        return note

    handles = [module.register_forward_hook(watch(name)) for name, module in network.named_modules() if name]
    try:
        with torch.no_grad():
            network(image)
    finally:
        for handle in handles:
            handle.remove()
    names = [name for name, _ in seen]
    return [name for name, is_map in seen if is_map and names.count(name) == 1]


@contextmanager
def _negated(network: nn.Module) -> Iterator[None]:
    """Have a network give its logits with the other sign."""

    def negate(_: nn.Module, __: object, output: Any) -> Any:
        return (-output[0], *output[1:]) if isinstance(output, tuple) else -output

    handle = network.register_forward_hook(negate)
    try:
        yield
    finally:
        handle.remove()


def _as_it_is(values: Tensor) -> Tensor:
    return values
