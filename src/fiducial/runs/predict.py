"""Apply a run's network to image files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from omegaconf import DictConfig

from fiducial.data.formats import SUFFIXES
from fiducial.data.images import read_image
from fiducial.data.module import in_unit_range, standardise
from fiducial.errors import InputError
from fiducial.hardware import Hardware
from fiducial.runs.build import build_network, component
from fiducial.runs.evaluate import checkpoint_file
from fiducial.statistics import predicted_labels
from fiducial.tasks.classification import class_probabilities
from fiducial.types import Float, Tensor

BATCH_SIZE = 64


def predict(
    cfg: DictConfig,
    out: Path,
    names: Sequence[Path],
    *,
    checkpoint: str,
    masks: Path = Path("predictions"),
    explain: bool = False,
    layer: str | None = None,
) -> pd.DataFrame:
    """Return a table: file, predicted class, and a probability a class; images are prepared as in training.

    A run that learned masks writes one for each file into the folder `masks`; see `predict_masks` for its table. One
    that learned boxes writes them as JSON, and drawn; see `predict_boxes`.

    With `explain` a classifier's run draws where it looked, by layer `layer` of its network, into the folder `masks`.

    Raises:
        InputError: there is no image, one cannot be read, or the run's cases are not single images.
    """
    spec = cfg.data.spec
    if spec.sequence:
        raise InputError(
            "predict takes image files; the cases of this run are sequences: `fiducial evaluate RUN data=…`"
        )
    if spec.get("files", 1) > 1:
        raise InputError(
            f"predict takes an image a file; an image of this run is {spec.files} files: "
            "`fiducial evaluate RUN data.source.path=…`"
        )
    if spec.get("columns") and cfg.model.get("num_columns") is not None:
        raise InputError(
            f"predict takes image files alone; this run's network also needs the columns {', '.join(spec.columns)}: "
            "`fiducial evaluate RUN data.source.path=…`"
        )
    if explain:
        from fiducial.runs.explain import check_explainable

        check_explainable(cfg)
    files = find_images(names)
    hardware: Hardware = component(cfg.hardware)
    hardware.check()
    hardware.prepare()
    weights = checkpoint_file(out, checkpoint)
    if spec.target == "mask":
        from fiducial.runs.predict_masks import predict_masks

        return predict_masks(cfg, out, files, masks, checkpoint=weights, hardware=hardware)
    if spec.target == "boxes":
        from fiducial.runs.predict_boxes import predict_boxes

        return predict_boxes(cfg, out, files, masks, checkpoint=weights, hardware=hardware)
    if explain:
        from fiducial.runs.explain import explain_images

        images = ((str(file), read_image(file, **_reading(cfg))) for file in files)
        pictures = {"picture": explain_images(cfg, images, masks, checkpoint=weights, layer=layer)}
    else:
        pictures = {}
    network = build_network(cfg, hardware, weights)
    batches = (files[start : start + BATCH_SIZE] for start in range(0, len(files), BATCH_SIZE))
    probabilities = torch.cat([_probabilities(cfg, network, batch, hardware) for batch in batches])
    return _table(files, probabilities, spec).assign(**pictures)


def find_images(names: Sequence[Path]) -> list[Path]:
    """Return the image files that `names` mean; folders are searched through, in the order of their names."""
    files: list[Path] = []
    for name in names:
        if name.is_dir():
            inside = sorted(file for file in name.rglob("*") if file.name.lower().endswith(SUFFIXES))
            if not inside:
                raise InputError(f"{name} has no image; expected files ending in {', '.join(SUFFIXES)}")
            files += inside
        elif name.is_file():
            files.append(name)
        else:
            raise InputError(f"{name}: there is no such file or folder")
    return files


def _reading(cfg: DictConfig) -> dict[str, Any]:
    """Return how the run's images are read from their files."""
    spec, source = cfg.data.spec, cfg.data.source
    return {
        "policy": source.get("policy", "resize"),
        "intensity": source.get("intensity"),
        "channels": spec.channels,
        "size": tuple(spec.size),
    }


@torch.inference_mode()
def _probabilities(
    cfg: DictConfig, network: torch.nn.Module, files: Sequence[Path], hardware: Hardware
) -> Float[Tensor, "files classes"]:
    spec = cfg.data.spec
    images = torch.stack([torch.from_numpy(np.array(read_image(file, **_reading(cfg)))) for file in files])
    images = in_unit_range(images.to(hardware.device_type))
    output = network(standardise(images, cfg.data.get("mean", 0.5), cfg.data.get("std", 0.5)))
    logits = output[0] if isinstance(output, tuple) else output
    return class_probabilities(logits, cfg.loss.contract.head, spec.target).cpu()


def _table(files: Sequence[Path], probabilities: Float[Tensor, "files classes"], spec: DictConfig) -> pd.DataFrame:
    predicted = predicted_labels(probabilities.double().numpy(), spec.target)
    classes = list(spec.classes)
    if spec.target == "multilabel":
        called = [", ".join(name for name, flag in zip(classes, row, strict=True) if flag) for row in predicted]
    else:
        called = [classes[number] for number in predicted]
    columns = {f"p {name}": probabilities[:, number].numpy() for number, name in enumerate(classes)}
    return pd.DataFrame({"file": [str(file) for file in files], "predicted": called, **columns})
