"""Torch's layers by number of spatial dimensions."""

from __future__ import annotations

from torch import nn

CONV: dict[int, type[nn.Conv2d] | type[nn.Conv3d]] = {2: nn.Conv2d, 3: nn.Conv3d}
BATCH_NORM: dict[int, type[nn.BatchNorm2d] | type[nn.BatchNorm3d]] = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
INSTANCE_NORM: dict[int, type[nn.InstanceNorm2d] | type[nn.InstanceNorm3d]] = {
    2: nn.InstanceNorm2d,
    3: nn.InstanceNorm3d,
}
CHANNEL_DROPOUT: dict[int, type[nn.Dropout2d] | type[nn.Dropout3d]] = {2: nn.Dropout2d, 3: nn.Dropout3d}
MAX_POOL: dict[int, type[nn.MaxPool2d] | type[nn.MaxPool3d]] = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
AVERAGE_POOL: dict[int, type[nn.AvgPool2d] | type[nn.AvgPool3d]] = {2: nn.AvgPool2d, 3: nn.AvgPool3d}
CONV_TRANSPOSE: dict[int, type[nn.ConvTranspose2d] | type[nn.ConvTranspose3d]] = {
    2: nn.ConvTranspose2d,
    3: nn.ConvTranspose3d,
}
