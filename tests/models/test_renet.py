"""ReNet against its equations, written as loops over patches."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from fiducial.errors import InputError
from fiducial.models.recurrent import Recurrent
from fiducial.models.renet import ReNet

STEP = {"rnn": nn.RNNCell, "lstm": nn.LSTMCell, "gru": nn.GRUCell}
GATES = {"rnn": 1, "lstm": 4, "gru": 3}
Grid = dict[tuple[int, int], torch.Tensor]


def step_of(recurrent: Recurrent, cell: str, suffix: str) -> nn.Module:
    layers = recurrent.layers
    step = STEP[cell](layers.input_size, layers.hidden_size)
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        getattr(step, name).data = getattr(layers, f"{name}_l0{suffix}").data
    return step


def output(state: Any) -> torch.Tensor:
    return state[0] if isinstance(state, tuple) else state


def sweep(grid: Grid, recurrent: Recurrent, cell: str, *, vertical: bool, bidirectional: bool) -> Grid:
    """Equations 1 and 2: a state for each place, from its neighbour's state and its own content."""
    num_rows, num_columns = (max(index) + 1 for index in zip(*grid, strict=True))
    swept: dict[tuple[int, int], list[torch.Tensor]] = {place: [] for place in grid}
    for suffix in ("", "_reverse") if bidirectional else ("",):
        step = step_of(recurrent, cell, suffix)
        for line in range(num_columns if vertical else num_rows):
            state: Any = None
            places = range(num_rows if vertical else num_columns)
            for place in reversed(places) if suffix else places:
                at = (place, line) if vertical else (line, place)
                state = step(grid[at], state)
                swept[at].append(output(state))
    return {place: torch.cat(states) for place, states in swept.items()}


def renet_by_loops(model: ReNet, image: torch.Tensor, cell: str, patch: int, bidirectional: bool) -> torch.Tensor:
    """Logits of one image `(channels, height, width)`."""
    maps: Grid = {(y, x): image[:, y, x] for y in range(image.shape[1]) for x in range(image.shape[2])}
    for layer in model.layers:
        if isinstance(layer, nn.Dropout):
            continue
        num_rows, num_columns = (max(index) + 1 for index in zip(*maps, strict=True))
        zeros = torch.zeros_like(maps[0, 0])
        patches = {}
        for row in range(-(-num_rows // patch)):
            for column in range(-(-num_columns // patch)):
                inside = [
                    maps.get((row * patch + dy, column * patch + dx), zeros)
                    for dy in range(patch)
                    for dx in range(patch)
                ]
                patches[row, column] = torch.cat(inside)
        columns_read = sweep(patches, layer.vertical, cell, vertical=True, bidirectional=bidirectional)
        maps = sweep(columns_read, layer.horizontal, cell, vertical=False, bidirectional=bidirectional)
    flat = torch.cat([maps[place] for place in sorted(maps)])
    return model.dense[4](torch.relu(model.dense[1](flat)))


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(
    ("size", "patch"), [((8, 4), 2), ((7, 6), 2), ((6, 10), 3)], ids=["even", "continued", "patch3"]
)
def test_same_numbers_as_the_equations(cell: str, bidirectional: bool, size: tuple[int, int], patch: int) -> None:
    model = ReNet(
        in_channels=2, num_outputs=3, size=size, cell=cell, hidden=3, patch=patch,
        bidirectional=bidirectional, dense=(5,),
    )  # fmt: skip
    image = torch.randn(2, 2, *size)
    expected = torch.stack([renet_by_loops(model, case, cell, patch, bidirectional) for case in image])
    torch.testing.assert_close(model(image), expected)


def test_every_output_sees_the_whole_image() -> None:
    model = ReNet(in_channels=1, num_outputs=2, size=(8, 8), hidden=4, num_layers=1)
    for place in [(0, 0), (3, 3), (0, 3)]:
        image = torch.randn(1, 1, 8, 8, requires_grad=True)
        model.layers(image.movedim(1, -1))[0, place[0], place[1]].sum().backward()
        assert image.grad is not None
        assert (image.grad != 0).all()


def test_one_direction_sees_what_lies_above_and_to_the_left() -> None:
    model = ReNet(in_channels=1, num_outputs=2, size=(8, 8), hidden=4, num_layers=1, bidirectional=False)
    image = torch.randn(1, 1, 8, 8, requires_grad=True)
    model.layers(image.movedim(1, -1))[0, 1, 2].sum().backward()
    assert image.grad is not None
    seen = image.grad[0, 0] != 0
    assert seen[:4, :6].all()
    assert not seen[4:].any()
    assert not seen[:, 6:].any()


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("directions", [1, 2])
def test_parameters_as_counted_by_hand(cell: str, directions: int) -> None:
    model = ReNet(
        in_channels=3, num_outputs=7, size=(28, 28), cell=cell, hidden=16, num_layers=2, patch=(4, 2),
        bidirectional=directions == 2, dense=(20,),
    )  # fmt: skip
    joined = 16 * directions

    def sweep_count(inputs: int) -> int:
        return directions * GATES[cell] * 16 * (inputs + 16 + 2)

    by_hand = sweep_count(4 * 4 * 3) + sweep_count(joined)  # 28 pixels to 7 patches
    by_hand += sweep_count(2 * 2 * joined) + sweep_count(joined)  # 7 to 4, with zeros beyond the edge
    by_hand += (4 * 4 * joined * 20 + 20) + (20 * 7 + 7)
    assert sum(p.numel() for p in model.parameters()) == by_hand


def test_every_parameter_has_a_gradient() -> None:
    model = ReNet(in_channels=1, num_outputs=3, size=(8, 8), hidden=4, dense=(6,))
    logits = model(torch.randn(5, 1, 8, 8))
    assert logits.shape == (5, 3)
    logits.square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_dropout_drops_in_training_only() -> None:
    model = ReNet(in_channels=1, num_outputs=3, size=(8, 8), hidden=4, dense=(32,), dropout=0.3)
    assert [layer.p for layer in model.modules() if isinstance(layer, nn.Dropout)] == [0.3] * 3
    image = torch.randn(2, 1, 8, 8)
    assert not torch.equal(model(image), model(image))
    model.eval()
    assert torch.equal(model(image), model(image))


@pytest.mark.usefixtures("as_users_have_it")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": "grue"}, "cell must be one of rnn, lstm, gru; got 'grue'; did you mean gru"),
        ({"patch": (2, 2, 2)}, r"one entry for each of 2 layers; got \[2, 2, 2\]"),
        ({"patch": 0}, "patch must be at least 1"),
        ({"num_layers": 0}, "num_layers must be at least 1"),
        ({"dropout": -1.0}, "dropout must be at least 0"),
        ({"spatial_dims": 3, "size": (8, 8, 8)}, "spatial_dims must be 2; got 3"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ReNet(**({"in_channels": 1, "num_outputs": 2, "size": (8, 8)} | options))
