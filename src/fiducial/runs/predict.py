"""Apply a run's network to image files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig

from fiducial.checkpoints import selected
from fiducial.config.construction import component
from fiducial.data.formats import SUFFIXES
from fiducial.errors import InputError
from fiducial.hardware import Hardware
from fiducial.runs import folder
from fiducial.runs.build import build_network
from fiducial.runs.reader import Reader, needs_more, network_input
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

    Images that cannot be read have a line too, and the table then a column `error`. Images that were resized, or had
    their colours changed, are told of in one line of standard output.

    Raises:
        InputError: there is no image, none can be read, or the run's cases are not single images.
    """
    spec = cfg.data.spec
    if (obstacle := needs_more(cfg)) is not None:
        raise InputError(f"predict takes an image a file; {obstacle}")
    if explain:
        from fiducial.runs.explain import check_explainable

        check_explainable(cfg)
    files = find_images(names)
    hardware: Hardware = component(cfg.hardware).alone()
    hardware.check()
    hardware.prepare()
    weights = selected(out / folder.CHECKPOINTS, checkpoint)
    reader = Reader(cfg)
    if spec.target == "mask":
        from fiducial.runs.predict_masks import predict_masks

        table = predict_masks(cfg, out, files, masks, reader=reader, checkpoint=weights, hardware=hardware)
    elif spec.target == "boxes":
        from fiducial.runs.predict_boxes import predict_boxes

        table = predict_boxes(cfg, out, files, masks, reader=reader, checkpoint=weights, hardware=hardware)
    else:
        table = _classified(cfg, files, reader, checkpoint=weights, hardware=hardware)
    if explain and len(table):
        from fiducial.runs.explain import explain_images

        images = ((name, Reader(cfg)(Path(name))) for name in table["file"])
        table = table.assign(picture=explain_images(cfg, images, masks, checkpoint=weights, layer=layer))
    if remark := reader.remark():
        print(remark)
    return reader.with_errors(files, table)


def find_images(names: Sequence[Path]) -> list[Path]:
    """Return the image files that `names` mean; folders are searched through, in the order of their names."""
    files: list[Path] = []
    for name in names:
        if name.is_dir():
            inside = sorted(file for file in name.rglob("*") if _is_image(file, name))
            if not inside:
                raise InputError(f"{name} has no image; expected files ending in {', '.join(SUFFIXES)}")
            files += inside
        elif name.is_file():
            files.append(name)
        else:
            raise InputError(f"{name}: there is no such file or folder")
    return files


def _is_image(file: Path, folder: Path) -> bool:
    """Tell whether a file in a folder is taken for an image; what is hidden (a Mac's `._a.png`) is none."""
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return file.name.lower().endswith(SUFFIXES) and not hidden


def _classified(
    cfg: DictConfig, files: Sequence[Path], reader: Reader, *, checkpoint: Path, hardware: Hardware
) -> pd.DataFrame:
    """Return the table of those files that can be read."""
    network = build_network(cfg, hardware, checkpoint)
    good, found = [], [torch.empty(0, len(cfg.data.spec.classes))]
    for start in range(0, len(files), BATCH_SIZE):
        read = list(reader.each(files[start : start + BATCH_SIZE], reader))
        if read:
            good += [file for file, _ in read]
            found.append(_probabilities(cfg, network, np.stack([image for _, image in read]), hardware))
    return _table(good, torch.cat(found), cfg.data.spec)


@torch.inference_mode()
def _probabilities(
    cfg: DictConfig, network: torch.nn.Module, pixels: NDArray[Any], hardware: Hardware
) -> Float[Tensor, "files classes"]:
    output = network(network_input(cfg, pixels, hardware.device_type))
    logits = output[0] if isinstance(output, tuple) else output
    return class_probabilities(logits, cfg.loss.contract.head, cfg.data.spec.target).cpu()


def _table(files: Sequence[Path], probabilities: Float[Tensor, "files classes"], spec: DictConfig) -> pd.DataFrame:
    predicted = predicted_labels(probabilities.double().numpy(), spec.target)
    classes = list(spec.classes)
    if spec.target == "multilabel":
        called = [", ".join(name for name, flag in zip(classes, row, strict=True) if flag) for row in predicted]
    else:
        called = [classes[number] for number in predicted]
    columns = {f"p {name}": probabilities[:, number].numpy() for number, name in enumerate(classes)}
    return pd.DataFrame({"file": [str(file) for file in files], "predicted": called, **columns})
