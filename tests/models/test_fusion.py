"""Networks that wrap others: late fusion, images with a table, learned values for missing modalities."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import pytest
import torch
from monai.networks.nets import DynUNet
from torch import nn

from fiducial.config import compose
from fiducial.errors import InputError
from fiducial.models.filled import Filled
from fiducial.models.image_table import ImageTable
from fiducial.models.late_fusion import LateFusion
from fiducial.models.plain_cnn import PlainCNN
from fiducial.models.resnet import ResNet
from fiducial.models.wnet import WNet
from fiducial.runs.build import build_model

cnn = partial(PlainCNN, in_channels=1, num_outputs=6, size=[8, 8], spatial_dims=2, widths=[3], dense=[])
JOINS = ["features", "concatenated", "logits"]


def late(join: Any, channels: int = 3, **options: Any) -> LateFusion:
    options = {"backbone": cnn, "num_outputs": 4, "num_features": 6, **options}
    return LateFusion(in_channels=channels, join=join, **options).eval()


def flags(*rows: list[int]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.bool)


@pytest.mark.parametrize("join", JOINS)
def test_what_a_missing_modality_holds_has_no_effect(join: str) -> None:
    model, image = late(join), torch.randn(2, 3, 8, 8)
    present = flags([1, 0, 1], [0, 1, 1])
    other = torch.where(present[:, :, None, None], image, torch.tensor(1e3))
    assert torch.equal(model(image, present=present), model(other, present=present))
    assert not torch.allclose(model(image, present=present), model(image))
    assert torch.equal(model(image), model(image, present=torch.ones(2, 3, dtype=torch.bool)))


@pytest.mark.parametrize("present", [[1, 1, 0, 1, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]])
def test_statistics_of_a_batch_are_of_the_modalities_that_are_there(present: list[int]) -> None:
    """In training, with batch normalisation: what stands for a missing image takes no part in it."""
    backbone = partial(ResNet, in_channels=1, num_outputs=6, widths=(4, 4, 4, 4))
    model = late("features", channels=2, backbone=backbone).train()
    image, there = torch.randn(5, 2, 8, 8), flags(*([1, there] for there in present))
    other = torch.where(there[:, :, None, None], image, torch.tensor(7.0))
    state = copy.deepcopy(model.state_dict())
    found = model(image, present=there)
    model.load_state_dict(state)
    torch.testing.assert_close(model(other, present=there), found)
    if sum(present) > 1:
        model.load_state_dict(state)
        alone = model.encoders[1](image[torch.tensor(present, dtype=torch.bool)][:, [1]])
        model.load_state_dict(state)
        torch.testing.assert_close(model._encoded(model.encoders[1], image[:, [1]], there[:, 1])[0][there[:, 1]], alone)


@pytest.mark.parametrize("join", ["features", "logits"])
def test_an_average_is_over_the_modalities_that_are_there(join: str) -> None:
    model, image = late(join), torch.randn(1, 3, 8, 8)
    found = [model.encoders[n](image[:, [n]]) for n in (0, 2)]
    if join == "features":
        wanted = model.dense[0]((found[0] + found[1]) / 2)
    else:
        wanted = (model.dense[0](found[0]) + model.dense[2](found[1])) / 2
    torch.testing.assert_close(model(image, present=flags([1, 0, 1])), wanted)


def test_a_missing_modality_has_features_of_its_own_in_a_concatenation() -> None:
    model, image = late("concatenated"), torch.randn(1, 3, 8, 8)
    assert model.instead is not None
    nn.init.normal_(model.instead)
    parts = [model.encoders[n](image[:, [n]]) for n in range(3)]
    parts[1] = model.instead[[1]]
    torch.testing.assert_close(model(image, present=flags([1, 0, 1])), model.dense[0](torch.cat(parts, 1)))


@pytest.mark.parametrize("join", JOINS)
def test_every_weight_learns(join: str) -> None:
    model = late(join).train()
    model(torch.randn(4, 3, 8, 8), present=flags([1, 0, 1], [0, 1, 1], [1, 1, 0], [1, 1, 1])).square().sum().backward()
    assert all(weight.grad is not None for weight in model.parameters())
    if model.instead is not None and model.instead.grad is not None:
        assert bool((model.instead.grad.abs().sum(1) > 0).all())


def test_maps_and_several_outputs() -> None:
    """A W-net gives two outputs in training, DynUNet stacks three: each is joined, the final one alone in a test."""
    image = torch.randn(2, 2, 16, 16)
    wnet = LateFusion(
        backbone=partial(WNet, in_channels=1, num_outputs=5), in_channels=2, num_outputs=3, num_features=5
    )
    outputs = wnet.train()(image)
    assert [tuple(output.shape) for output in outputs] == [(2, 3, 16, 16)] * 2
    assert wnet.eval()(image).shape == (2, 3, 16, 16)
    dyn = partial(
        DynUNet, 2, 1, 5, [3] * 4, [1, 2, 2, 2], [2] * 3, filters=[4] * 4, deep_supervision=True, deep_supr_num=2
    )
    late_dyn = LateFusion(backbone=dyn, in_channels=2, num_outputs=3, num_features=5).train()
    assert [tuple(output.shape) for output in late_dyn(image)] == [(2, 3, 16, 16)] * 3


def test_dense_layers_act_on_each_pixel_alone() -> None:
    model = LateFusion(
        backbone=partial(nn.Conv2d, 1, 5, 1), in_channels=2, num_outputs=3, num_features=5, join="concatenated"
    ).eval()
    image = torch.randn(1, 2, 4, 4)
    alone = model(image[:, :, 2:3, 1:2])
    torch.testing.assert_close(model(image)[:, :, 2:3, 1:2], alone)


@pytest.mark.parametrize("maps", [False, True])
def test_image_and_columns_are_joined_before_the_head(maps: bool) -> None:
    backbone = partial(nn.Conv2d, 1, 6, 1) if maps else cnn
    model = ImageTable(backbone=backbone, num_columns=2, num_outputs=4, num_features=6, widths=[5]).eval()
    image, columns = torch.randn(2, 1, 8, 8), torch.randn(2, 2)
    beside, seen = model.columns(columns), model.image(image)
    if maps:
        beside = beside[:, :, None, None].expand(-1, -1, 8, 8)
    torch.testing.assert_close(model(image, columns=columns), model.joint(torch.cat([seen, beside], dim=1)))
    assert not torch.allclose(model(image, columns=columns), model(image, columns=columns + 1))
    model.train()(image, columns=columns).square().sum().backward()
    assert all(weight.grad is not None for weight in model.parameters())


class Seen(nn.Module):
    """Keeps what it was given."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.image = image
        return image.flatten(1)


def test_present_modalities_are_untouched_bit_for_bit() -> None:
    seen = Seen()
    model = Filled(seen, 3)
    nn.init.normal_(model.value)
    nn.init.normal_(model.together)
    image, present = torch.randn(2, 3, 4, 4), flags([1, 0, 1], [0, 0, 1])
    model(image, present=present)
    kept = present[:, :, None, None].expand_as(image)
    assert torch.equal(seen.image[kept], image[kept])
    first = model.value[1] + model.together[1, 1]
    torch.testing.assert_close(seen.image[0, 1], first.expand(4, 4))
    torch.testing.assert_close(seen.image[1, 1], (first + model.together[1, 0]).expand(4, 4))  # with whom it is missing
    model(image)
    assert torch.equal(seen.image, image)


def test_what_stands_for_a_missing_modality_is_learned() -> None:
    """With labels that say which modality was missing, the values move until the network can tell."""
    model = Filled(nn.Sequential(nn.Flatten(), nn.Linear(2 * 9, 2)), 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    present = flags(*([[1, 0]] * 8 + [[0, 1]] * 8))
    label = torch.tensor([0] * 8 + [1] * 8)
    image = torch.zeros(16, 2, 3, 3)
    for _ in range(60):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(image, present=present), label)
        loss.backward()
        optimizer.step()
    assert model.value.grad is not None
    assert bool((model.value.grad != 0).all())
    assert float(loss.detach()) < 0.1
    assert float(model.value.detach().abs().max()) > 0.1


def test_bad_options_are_named() -> None:
    with pytest.raises(InputError, match=r"model\.join: .* expects features, concatenated or logits, got 'feature'"):
        compose([*LABELS, "model=late_fusion", "model.join=feature"])
    with pytest.raises(InputError, match=r"model\.num_features must be at least 1"):
        late("features", num_features=0)


# -- by configuration ---------------------------------------------------------------------------------------

LABELS = ("data=phantom_modalities", "data.source.size=[32,32]")
MASKS = ("data=phantom_modality_masks",)


@pytest.mark.slow
@pytest.mark.parametrize(
    "backbone", ["plain_cnn", "lenet", "resnet18", "densenet121", "efficientnet_b0", "seresnet50", "vit", "row_rnn"]
)
def test_networks_for_labels_are_wrapped_by_name(backbone: str) -> None:
    cfg = compose([*LABELS, "model=late_fusion", f"model.backbone={backbone}", "model.num_features=7"]).cfg
    model = build_model(cfg).eval()
    assert isinstance(model, LateFusion)
    assert model(torch.randn(2, 2, 32, 32)).shape == (2, 2)
    assert model.dense[0][1].in_features == 7


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["unet", "segresnet", "attention_unet", "wnet", "dynunet"])
def test_networks_for_masks_are_wrapped_by_name(backbone: str) -> None:
    cfg = compose([*MASKS, "model=late_fusion", f"model.backbone={backbone}", "data.fill=learned"]).cfg
    model = build_model(cfg).eval()
    assert isinstance(model, LateFusion)  # it leaves missing channels out: nothing stands for them
    assert isinstance(build_model(compose([*MASKS, f"model={backbone}", "data.fill=learned"]).cfg), Filled)
    found = model(torch.randn(1, 2, 64, 64), present=flags([1, 0]))
    assert found.shape == (1, 2, 64, 64)


def test_options_of_the_inner_network_can_be_set() -> None:
    given = ("model=image_table", "model.backbone=plain_cnn", "model.backbone.widths=[3,5]", "model.widths=[9]")
    model = build_model(compose(["data=phantom_table", *given]).cfg)
    assert isinstance(model, ImageTable)
    assert [block[0].out_channels for block in model.image.blocks] == [3, 5]
    assert model.columns[1].in_features == 4  # age, marker, two sexes
    assert model.columns[1].out_features == 9
