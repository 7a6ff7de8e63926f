from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from fiducial.data.modalities import channel_means, dropped, filled, without
from fiducial.data.module import DataModule
from fiducial.data.phantom import Phantom
from fiducial.errors import InputError


def test_channels_are_dropped_as_often_as_asked_and_one_stays() -> None:
    present = torch.ones(4000, 3, dtype=torch.bool)
    kept = dropped(present, 0.5, torch.Generator().manual_seed(0)).double()
    assert float(kept.sum(1).min()) == 1
    # each stays with 0.5, and where all three would go (1 in 8) one of them stays
    assert float(kept.mean()) == pytest.approx(0.5 + 1 / 8 / 3, abs=0.02)
    assert torch.equal(dropped(present, 0.0, torch.Generator()), present)


def test_a_channel_that_is_not_there_is_never_the_one_that_stays() -> None:
    present = torch.tensor([[True, False]]).expand(200, 2)
    assert torch.equal(dropped(present, 0.9, torch.Generator().manual_seed(0)), present)


def test_only_missing_channels_are_filled() -> None:
    image = torch.randn(3, 2, 4, 5)
    present = torch.tensor([[True, False], [False, True], [True, True]])
    found = filled(image, present, torch.tensor([7.0, 8.0]))
    assert torch.equal(found[0, 0], image[0, 0])
    assert torch.equal(found[1, 1], image[1, 1])
    assert torch.equal(found[2], image[2])
    assert found[0, 1].unique().tolist() == [8]
    assert found[1, 0].unique().tolist() == [7]
    assert without(present, [1]).tolist() == [[True, False], [False, False], [True, False]]


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_means_are_over_all_pixels_of_images_of_any_size(kind: Any) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (2, *size)).astype(kind) for size in ((4, 5), (3, 3))]

    def each() -> Iterator[Any]:
        yield from images

    pixels = np.concatenate([image.reshape(2, -1) for image in images], axis=1)
    np.testing.assert_allclose(channel_means(each()), pixels.mean(axis=1) / (255 if kind is np.uint8 else 1), rtol=1e-6)


def test_zero_is_zero_before_normalisation() -> None:
    data = DataModule(Phantom(num_subjects=12, size=[8, 8], channels=2), missing=[1], fill="zero", mean=0.4, std=0.2)
    data.prepare_data()
    batch = data.on_after_batch_transfer(next(iter(data.test_dataloader())), 0)
    assert batch["image"][:, 1].unique().tolist() == [pytest.approx(-2)]


def test_the_mean_of_training_is_kept_for_other_data() -> None:
    source = Phantom(num_subjects=12, size=[8, 8], channels=2)
    data = DataModule(source, missing=[1])
    data.prepare_data()
    data.load_state_dict({"epoch": 0, "channel_means": [0.1, 0.9]})
    batch = data.on_after_batch_transfer(next(iter(data.test_dataloader())), 0)
    assert batch["image"][:, 1].unique().tolist() == [pytest.approx((0.9 - 0.5) / 0.5)]


def test_a_mean_that_training_never_took_is_not_taken_from_other_data() -> None:
    """The checkpoint of a run none of whose images lacked a channel holds no means."""
    nothing = {"epoch": 0, "channel_means": None}
    data = DataModule(Phantom(num_subjects=12, size=[8, 8], channels=2), missing=[1])
    data.test_alone("all")
    with pytest.raises(InputError, match=r"learned no means of channels .*: give data\.fill=zero, or train with"):
        data.load_state_dict(nothing)
    whole = DataModule(Phantom(num_subjects=12, size=[8, 8], channels=2))
    whole.test_alone("all")
    whole.load_state_dict(nothing)  # nothing is missing
    own = DataModule(Phantom(num_subjects=12, size=[8, 8], channels=2), missing=[1])
    own.load_state_dict(nothing)  # its training split can still say


def test_values_that_nothing_teaches_are_refused() -> None:
    with pytest.raises(InputError, match=r"learned from training images with missing channels: give data\.channel_dro"):
        DataModule(Phantom(num_subjects=12, size=[8, 8], channels=2), fill="learned")
    with pytest.raises(InputError, match=r"channel_dropout is for images of several channels"):
        DataModule(Phantom(num_subjects=12, size=[8, 8]), channel_dropout=0.3)
    with pytest.raises(InputError, match=r"data\.fill must be mean, zero, learned; got median"):
        DataModule(Phantom(num_subjects=12, size=[8, 8], channels=2), fill="median")  # type: ignore[arg-type]
