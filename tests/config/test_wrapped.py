from __future__ import annotations

import subprocess
import sys

import pytest

from fiducial.config import compose
from fiducial.config.wrapped import told
from fiducial.errors import InputError

TWO = "data.source.channels=2"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=late_fusion"], r"needs data\.spec\.channels to be at least 2; data=phantom gives 1"),
        (["model=image_table"], r"needs data\.spec\.num_columns to be at least 1; data=phantom gives 0"),
        (["data=phantom_table", "data.source.columns.names=[]", "model=image_table"], "none of"),
        (
            ["data=phantom_segmentation", TWO, "model=late_fusion"],
            r"model\.backbone=plain_cnn needs data\.spec\.target to be .*Options of model\.backbone that fit: .*unet",
        ),
        ([TWO, "model=late_fusion", "model.backbone=resnet"], "no such network to wrap; did you mean r"),
        ([TWO, "model=late_fusion", "model.backbone=image_table"], "no such network to wrap"),
        (["model.backbone=resnet18"], "only a model that wraps another network takes one: late_fusion, image_table"),
        (
            [TWO, "model=late_fusion", "model.backbone=vit", "model.backbone.patch_size=5"],
            r"model\.backbone=vit needs data\.spec\.size to be a multiple of 5",
        ),
        ([TWO, "model=late_fusion", "model.backbone.widht=[3]"], r"model\.backbone\.widht: .* did you mean widths"),
    ],
)
def test_what_does_not_fit_is_told(overrides: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        compose(overrides)


def test_it_is_told_before_torch_is_imported() -> None:
    code = (
        "import sys\nfrom fiducial.config import compose\nfrom fiducial.errors import InputError\n"
        "for wrong in (['model=late_fusion'], ['model=image_table']):\n"
        "    try:\n        compose(wrong)\n    except InputError:\n        print('torch' in sys.modules)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "False"]


def test_the_inner_network_is_told_other_facts() -> None:
    cfg = compose([TWO, "model=late_fusion", "model.backbone=resnet18", "model.num_features=9"]).cfg
    assert (cfg.model.in_channels, cfg.model.num_outputs) == (2, 2)
    assert (cfg.model.backbone.in_channels, cfg.model.backbone.num_outputs) == (1, 9)
    assert cfg.model.backbone.spatial_dims == 2


def test_its_own_facts_are_found_where_it_is() -> None:
    inner = {
        "size": "${model.width}",
        "channels": "${twice:${fact}}",
        "contract": {"requires": {"fact": [1], "b": [2]}},
    }
    model = {"backbone": inner, "contract": {"instead": {"fact": 3}}}
    assert told(model) == {
        "size": "${model.backbone.width}",
        "channels": "${twice:3}",
        "contract": {"requires": {"b": [2]}},
    }


def test_wrapped_networks_can_be_swept() -> None:
    names = {
        backbone: compose([TWO, "model=late_fusion", f"model.backbone={backbone}"]).identity()
        for backbone in ("plain_cnn", "lenet")
    }
    assert len(set(names.values())) == 2
