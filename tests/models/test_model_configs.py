"""Every option of the group `model` builds a network that fits the data it is given: labels, masks or boxes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from fiducial.config.composition import register
from fiducial.config.contract import unmet
from fiducial.tasks.segmentation import heads_of

register()  # resolvers that the options use
FOLDER = Path(__file__).parents[2] / "conf" / "model"
WRAPPERS = ("image_table", "late_fusion")  # see test_fusion
OPTIONS = sorted({file.stem for file in FOLDER.glob("*.yaml")} - {*WRAPPERS})
IMAGES = [(1, (28, 28)), (3, (32, 40)), (1, (16, 20, 24)), (3, (32, 32, 32))]


def compose(option: str, channels: int, size: tuple[int, ...], target: str = "multiclass") -> Any:
    spec = {"channels": channels, "spatial_dims": len(size), "size": list(size), "sequence": False, "target": target}
    spec["num_classes"] = 5
    patches = {"size": list(size), "window": list(size)}
    model = OmegaConf.load(FOLDER / f"{option}.yaml")
    return OmegaConf.create({"data": {"spec": spec, "patches": patches}, "task": {"num_outputs": 5}, "model": model})


def fits(cfg: Any) -> bool:
    """Tell whether the data is what the option's contract asks for."""
    return not list(unmet(cfg, "model"))


def learns(option: str, target: str) -> bool:
    requires = OmegaConf.load(FOLDER / f"{option}.yaml").contract.requires
    return bool(requires.get("data.spec.target") == [target])


MASKS = [option for option in OPTIONS if learns(option, "mask")]
BOXES = [option for option in OPTIONS if learns(option, "boxes")]
LABELS = [option for option in OPTIONS if option not in (*MASKS, *BOXES)]
PATCHES = [(3, (64, 64)), (1, (32, 32, 32))]
FITTING = [
    (option, *image)
    for option in LABELS
    for image in IMAGES
    if fits(compose(option, *image)) and not (image == IMAGES[3] and fits(compose(option, *IMAGES[2])))  # one volume
]
# The transformers at a size that a test can train.
SMALL: dict[str, dict[str, Any]] = {
    "unetr": {"hidden_size": 24, "mlp_dim": 48, "feature_size": 4},
    "swin_unetr": {"feature_size": 12, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 2, 2]},
}


@pytest.mark.slow
@pytest.mark.parametrize(("option", "channels", "size"), FITTING, ids=str)
def test_option_gives_logits_and_gradients(option: str, channels: int, size: tuple[int, ...]) -> None:
    cfg = compose(option, channels, size)
    arguments = {key: value for key, value in cfg.model.items() if key != "contract"}
    model = instantiate(arguments, _convert_="all")
    logits = model(torch.randn(2, channels, *size))
    if isinstance(logits, tuple):  # MONAI's ViT also returns hidden states
        logits = logits[0]
    assert logits.shape == (2, 5)
    logits.square().sum().backward()
    # MONAI's transformer block makes a normalisation for cross-attention even where there is none
    idle = {name for name, p in model.named_parameters() if p.grad is None and "norm_cross_attn" not in name}
    assert idle == set()


def test_images_that_fit() -> None:
    """The contracts let 2D and 3D images through to all but the models that cannot take them."""
    excluded = {
        (option, size) for option in LABELS for channels, size in IMAGES if not fits(compose(option, channels, size))
    }
    assert excluded == {
        ("densenet121", (28, 28)),
        ("densenet121", (16, 20, 24)),
        ("cnn_rnn", (28, 28)),
        ("cnn_rnn", (32, 40)),
        *((option, size) for option in ("renet", "row_rnn") for size in ((16, 20, 24), (32, 32, 32))),
    }


def test_logits_are_not_squashed() -> None:
    cfg = compose("vit", 1, (28, 28))
    del cfg.model["contract"]
    model = instantiate(cfg.model, num_layers=1)
    assert isinstance(model.classification_head, torch.nn.Linear)


def test_efficientnet_has_the_published_blocks() -> None:
    """The paper's table 1, and the network that MONAI builds by name."""
    from monai.networks.nets import EfficientNetBN

    cfg = compose("efficientnet_b0", 3, (224, 224))
    del cfg.model["contract"]
    ours = instantiate(cfg.model, num_classes=7).eval()
    theirs = EfficientNetBN("efficientnet-b0", pretrained=False, in_channels=3, num_classes=7).eval()
    ours.load_state_dict(theirs.state_dict())
    image = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(ours(image), theirs(image))


def test_another_frame_encoder_is_named_in_the_configuration() -> None:
    cfg = compose("cnn_rnn", 1, (4, 8, 8))
    del cfg.model["contract"]
    cfg.model.encoder = {
        "_target_": "fiducial.models.resnet.ResNet",
        "in_channels": "${data.spec.channels}",
        "num_outputs": "${model.num_features}",
        "widths": [4, 4, 4, 4],
    }
    cfg.model.num_features = 6
    model = instantiate(cfg.model)
    assert type(model.encoder).__name__ == "ResNet"
    assert model(torch.randn(2, 1, 4, 8, 8), torch.tensor([1, 4])).shape == (2, 5)


def test_there_are_models_for_masks() -> None:
    expected = {"unet", "dynunet", "segresnet", "attention_unet", "unetr", "swin_unetr", "r2unet", "wnet"}
    assert expected <= set(MASKS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "channels", "size"),
    [(option, *patch) for option in MASKS for patch in PATCHES if fits(compose(option, *patch, target="mask"))],
    ids=str,
)
def test_option_gives_a_logit_a_pixel(option: str, channels: int, size: tuple[int, ...]) -> None:
    cfg = compose(option, channels, size, target="mask")
    arguments = {key: value for key, value in cfg.model.items() if key != "contract"}
    model = instantiate({**arguments, **SMALL.get(option, {})}, _convert_="all")
    image = torch.randn(2, channels, *size)
    heads = heads_of(model(image), len(size))
    assert all(head.shape == (2, 5, *size) for head in heads)
    assert len(heads) == {"dynunet": 3, "wnet": 2}.get(option, 1)
    sum(head.square().sum() for head in heads).backward()
    # MONAI's transformer block makes a normalisation for cross-attention even where there is none
    idle = {name for name, p in model.named_parameters() if p.grad is None and "norm_cross_attn" not in name}
    assert idle == set()
    with torch.inference_mode():
        assert model.eval()(image[:1]).shape == (1, 5, *size)


@pytest.mark.slow
@pytest.mark.parametrize("option", BOXES)
@pytest.mark.parametrize(("channels", "size"), [(3, (64, 64)), (1, (16, 32, 32))])
def test_option_gives_the_maps_of_a_detector(option: str, channels: int, size: tuple[int, ...]) -> None:
    cfg = compose(option, channels, size, target="boxes")
    assert fits(cfg)
    del cfg.model["contract"]
    model = instantiate(OmegaConf.to_container(cfg.model, resolve=True), _convert_="all")
    output = model(torch.randn(2, channels, *size))
    assert output.shape == (2, 5 + 2 * len(size), *(extent // 2 for extent in size))
    output.square().sum().backward()
    assert all(weight.grad is not None for weight in model.parameters())


@pytest.mark.parametrize("option", OPTIONS)
def test_models_for_labels_masks_and_boxes_are_told_apart(option: str) -> None:
    size = (64, 64) if option != "cnn_rnn" else (32, 64, 64)
    assert fits(compose(option, 1, size, target="boxes")) == (option in BOXES)
    assert fits(compose(option, 1, size, target="mask")) == (option in MASKS)
    assert fits(compose(option, 1, size, target="binary")) == (option in LABELS)


@pytest.mark.parametrize(("option", "window"), [("unet", (60, 64)), ("unetr", (96, 96)), ("swin_unetr", (32, 64))])
def test_windows_that_a_network_cannot_take_are_refused(option: str, window: tuple[int, ...]) -> None:
    cfg = compose(option, 1, (64, 64), target="mask")
    cfg.data.patches.window = list(window)
    assert not fits(cfg)
