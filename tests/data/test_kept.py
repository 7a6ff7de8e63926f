"""Sources that are read once for several processes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from fiducial.data import kept as module
from fiducial.data.kept import keep, kept
from fiducial.data.phantom import Phantom

PHANTOMS = {"_target_": "fiducial.data.phantom.Phantom", "num_subjects": 5, "size": [8, 8]}


@pytest.fixture(autouse=True)
def none_kept() -> Iterator[None]:
    yield
    module._kept.clear()


def test_a_kept_source_has_its_images_and_they_are_the_same() -> None:
    assert kept(PHANTOMS) is None
    keep(PHANTOMS)
    source = kept({"size": [8, 8], "num_subjects": 5, "_target_": PHANTOMS["_target_"]})
    assert isinstance(source, Phantom)
    assert "_array" in vars(source)
    np.testing.assert_array_equal(source.pixels(), Phantom(num_subjects=5, size=[8, 8]).pixels())
    assert kept({**PHANTOMS, "seed": 1}) is None


def test_what_takes_long_to_read_is_left_to_each_process() -> None:
    many = {**PHANTOMS, "num_subjects": 10**6}
    keep(many)
    assert kept(many) is None
