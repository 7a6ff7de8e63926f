from __future__ import annotations

import hashlib
import random

import numpy as np
import torch

from fiducial.randomness import derive, generator, reseed


def test_seed_is_the_hash_of_its_parts() -> None:
    digest = hashlib.blake2b(b"7\x1forder\x1f3", digest_size=8).digest()
    assert derive(7, "order", 3) == int.from_bytes(digest, "big") // 2


def test_parts_do_not_run_together() -> None:
    assert len({derive(1, 23), derive(12, 3), derive("1", "2", "3"), derive(123)}) == 4


def test_generators_are_independent_of_each_other() -> None:
    draws = torch.stack([torch.rand(4000, generator=generator(0, "augment", 0, step, 0)) for step in range(8)])
    correlation = torch.corrcoef(draws) - torch.eye(8)
    assert correlation.abs().max() < 0.06


def test_reseed_sets_all_three_generators() -> None:
    def draws() -> tuple[float, float, float]:
        return random.random(), np.random.rand(), torch.rand(1).item()

    reseed(0, "epoch", 1)
    one = draws()
    draws()
    reseed(0, "epoch", 1)
    assert draws() == one
    reseed(0, "epoch", 2)
    assert all(value != other for value, other in zip(draws(), one, strict=True))
