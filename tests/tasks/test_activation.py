"""Class-activation maps: Grad-CAM worked out by hand where the network allows it."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fiducial.errors import InputError
from fiducial.tasks.activation import Activation, map_layers


class Small(nn.Module):
    """Convolution, ReLU used twice, mean over space, linear."""

    def __init__(self, dims: int = 2) -> None:
        super().__init__()
        conv = nn.Conv2d if dims == 2 else nn.Conv3d
        self.first, self.second = conv(1, 3, 3, padding=1), conv(3, 4, 3, padding=1)
        self.act, self.out = nn.ReLU(), nn.Linear(4, 2)
        nn.init.constant_(self.second.bias, 0.5)  # type: ignore[arg-type]
        nn.init.normal_(self.out.weight)

    def maps(self, image: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.second(self.act(self.first(image)))
        return features

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features = self.maps(image)
        logits: torch.Tensor = self.out(self.act(features.flatten(2).mean(2)))
        return logits


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("output", [0, 1])
def test_the_map_is_the_gradients_mean_times_the_activations(dims: int, output: int) -> None:
    """Equations 1 and 2 of the paper: here the gradient of a channel's mean is its weight where it is positive."""
    torch.manual_seed(2)
    network, image = Small(dims).eval(), torch.randn(1, 1, *[8] * dims)
    found = Activation(network, image)(image, output)
    maps = network.maps(image)[0].detach()
    alive = (maps.flatten(1).mean(1) > 0).float()
    weights = network.out.weight[output].detach() * alive
    expected = F.relu((weights.view(-1, *[1] * dims) * maps).sum(0))
    assert expected.max() > 0
    torch.testing.assert_close(found, expected / expected.max())


def test_against_a_single_output_is_for_the_other_of_two_classes() -> None:
    """One logit z is two of -z and z."""
    torch.manual_seed(2)
    both, single = Small().eval(), Small().eval()
    single.load_state_dict(both.state_dict())
    single.out = nn.Linear(4, 1)
    with torch.no_grad():
        both.out.weight.copy_(torch.cat([-single.out.weight, single.out.weight]))
        both.out.bias.copy_(torch.cat([-single.out.bias, single.out.bias]))
    image = torch.randn(1, 1, 8, 8)
    logit = single(image)
    maps = [Activation(both, image)(image, output) for output in (0, 1)]
    assert not torch.equal(*maps)
    mapped = Activation(single, image)
    torch.testing.assert_close(mapped(image, 0, against=True), maps[0])
    torch.testing.assert_close(mapped(image, 0), maps[1])
    torch.testing.assert_close(single(image), logit)  # it is as it was


def test_layers_that_can_be_mapped() -> None:
    network, image = Small(), torch.zeros(1, 1, 8, 8)
    assert map_layers(network, image) == ["first", "second"]
    assert Activation(network, image).layer == "second"
    assert Activation(network, image, "first").layer == "first"
    assert Activation(network, image, "first")(torch.randn(1, 1, 8, 8), 0).shape == (8, 8)
    with pytest.raises(InputError, match="--layer secnd: there is none; did you mean second"):
        Activation(network, image, "secnd")
    with pytest.raises(InputError, match="no layer of this network keeps an extent"):
        Activation(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), image)


def test_coarse_maps_are_as_large_as_the_image() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 4, stride=4), nn.Flatten(), nn.Linear(32, 2))
    found = Activation(network, torch.zeros(1, 1, 16, 16))(torch.randn(1, 1, 16, 16), 1)
    assert found.shape == (16, 16)
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1
