"""The row network, and the recurrent layers that it shares, against loops over torch's single-step cells."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from fiducial.errors import InputError
from fiducial.models.recurrent import Recurrent
from fiducial.models.row_rnn import RowRNN

STEP = {"rnn": nn.RNNCell, "lstm": nn.LSTMCell, "gru": nn.GRUCell}
GATES = {"rnn": 1, "lstm": 4, "gru": 3}


def read(recurrent: Recurrent, cell: str, steps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Read one sequence `(steps, features)` step by step; return all outputs and the final state."""
    layers = recurrent.layers
    for layer in range(layers.num_layers):
        outputs, finals = [], []
        for suffix in ("", "_reverse") if layers.bidirectional else ("",):
            step = STEP[cell](steps.shape[1], layers.hidden_size)
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                getattr(step, name).data = getattr(layers, f"{name}_l{layer}{suffix}").data
            order = list(range(len(steps)))
            if suffix:
                order.reverse()
            state: Any = None
            seen = {}
            for index in order:
                state = step(steps[index], state)
                seen[index] = state[0] if cell == "lstm" else state
            outputs.append(torch.stack([seen[index] for index in range(len(steps))]))
            finals.append(seen[order[-1]])
        steps = torch.cat(outputs, 1)
    return steps, torch.cat(finals)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_sequences_of_different_lengths_as_read_one_by_one(cell: str, bidirectional: bool, num_layers: int) -> None:
    recurrent = Recurrent(3, cell=cell, hidden=4, num_layers=num_layers, bidirectional=bidirectional)
    length = torch.tensor([2, 6, 1, 4])
    steps = torch.randn(4, 6, 3)
    beyond = torch.arange(6) >= length[:, None]
    steps[beyond] = torch.nan
    outputs, state = recurrent(steps, length)
    assert not outputs[beyond].any()
    for case, steps_of_case in enumerate(length):
        expected_outputs, expected_state = read(recurrent, cell, steps[case, :steps_of_case])
        torch.testing.assert_close(outputs[case, :steps_of_case], expected_outputs)
        torch.testing.assert_close(state[case], expected_state)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_row_rnn_as_a_loop_over_rows(cell: str, bidirectional: bool) -> None:
    model = RowRNN(
        in_channels=2,
        num_outputs=3,
        size=(5, 4),
        cell=cell,
        hidden=6,
        num_layers=2,
        bidirectional=bidirectional,
    )
    image = torch.randn(3, 2, 5, 4)
    logits = model(image)
    for case in range(3):
        rows = torch.stack([torch.cat([image[case, 0, row], image[case, 1, row]]) for row in range(5)])
        _, state = read(model.rows, cell, rows)
        torch.testing.assert_close(logits[case], model.dense[1](state))


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_parameters_as_counted_by_hand(cell: str, directions: int, num_layers: int) -> None:
    model = RowRNN(
        in_channels=3, num_outputs=5, size=(28, 28), cell=cell, hidden=16, num_layers=num_layers,
        bidirectional=directions == 2,
    )  # fmt: skip
    inputs = [3 * 28, *[16 * directions] * (num_layers - 1)]
    # each gate has a matrix for the input, one for the state, and two biases
    recurrent = sum(directions * GATES[cell] * 16 * (size + 16 + 2) for size in inputs)
    assert sum(p.numel() for p in model.parameters()) == recurrent + 16 * directions * 5 + 5


def test_every_parameter_has_a_gradient() -> None:
    model = RowRNN(in_channels=1, num_outputs=3, size=(6, 4), hidden=5, num_layers=2)
    model(torch.randn(4, 1, 6, 4)).square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("num_layers", [1, 2])
def test_dropout_drops_in_training_only(num_layers: int) -> None:
    model = RowRNN(in_channels=1, num_outputs=3, size=(6, 4), num_layers=num_layers, dropout=0.5)
    image = torch.randn(2, 1, 6, 4)
    assert not torch.equal(model(image), model(image))
    model.eval()
    assert torch.equal(model(image), model(image))


@pytest.mark.usefixtures("as_users_have_it")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": "ltsm"}, "cell must be one of rnn, lstm, gru; got 'ltsm'; did you mean lstm"),
        ({"hidden": 0}, "hidden must be at least 1"),
        ({"num_layers": 0}, "num_layers must be at least 1"),
        ({"dropout": 1.5}, "dropout must be at least 0 and below 1"),
        ({"spatial_dims": 3, "size": (8, 8, 8)}, "spatial_dims must be 2; got 3"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        RowRNN(**({"in_channels": 1, "num_outputs": 2, "size": (8, 8)} | options))
