"""Every option of the group `model` builds a network that fits the data it is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from fiducial.config.contract import unmet

FOLDER = Path(__file__).parents[2] / "conf" / "model"
OPTIONS = sorted(file.stem for file in FOLDER.glob("*.yaml"))
IMAGES = [(1, (28, 28)), (3, (64, 64)), (1, (28, 28, 28)), (3, (32, 32, 32))]


def compose(option: str, channels: int, size: tuple[int, ...]) -> Any:
    spec = {"channels": channels, "spatial_dims": len(size), "size": list(size), "sequence": False}
    model = OmegaConf.load(FOLDER / f"{option}.yaml")
    return OmegaConf.create({"data": {"spec": spec}, "task": {"num_outputs": 5}, "model": model})


def fits(cfg: Any) -> bool:
    """Tell whether the data is what the option's contract asks for."""
    return not list(unmet(cfg, "model"))


FITTING = [(option, *image) for option in OPTIONS for image in IMAGES if fits(compose(option, *image))]


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
        (option, size) for option in OPTIONS for channels, size in IMAGES if not fits(compose(option, channels, size))
    }
    assert excluded == {
        ("densenet121", (28, 28)),
        ("densenet121", (28, 28, 28)),
        ("cnn_rnn", (28, 28)),
        ("cnn_rnn", (64, 64)),
        *((option, size) for option in ("renet", "row_rnn") for size in ((28, 28, 28), (32, 32, 32))),
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
