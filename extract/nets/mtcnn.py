"""The three networks of MTCNN (Zhang et al. 2016) under the names of facenet-pytorch's files.

Each returns in one tensor, along axis 1, the probability of a face, four shifts of the box's sides as shares
of its size (left, top, right, bottom), and the last network also ten places of landmarks within it: five
times x, then five times y. Pictures are (batch, 3, height, width), RGB, (x - 127.5) / 128.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ProposalNet(nn.Module):
    """(batch, 3, height, width) -> (batch, 5, rows, columns): cells of 12 pixels, 2 apart."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 10, 3), nn.PReLU(10)
        self.pool1 = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.conv2, self.prelu2 = nn.Conv2d(10, 16, 3), nn.PReLU(16)
        self.conv3, self.prelu3 = nn.Conv2d(16, 32, 3), nn.PReLU(32)
        self.conv4_1, self.conv4_2 = nn.Conv2d(32, 2, 1), nn.Conv2d(32, 4, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        values = self.pool1(self.prelu1(self.conv1(pictures)))
        values = self.prelu3(self.conv3(self.prelu2(self.conv2(values))))
        return torch.cat([self.conv4_1(values).softmax(1)[:, 1:], self.conv4_2(values)], dim=1)


class RefinementNet(nn.Module):
    """(batch, 3, 24, 24) -> (batch, 5)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 28, 3), nn.PReLU(28)
        self.conv2, self.prelu2 = nn.Conv2d(28, 48, 3), nn.PReLU(48)
        self.conv3, self.prelu3 = nn.Conv2d(48, 64, 2), nn.PReLU(64)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.dense4, self.prelu4 = nn.Linear(576, 128), nn.PReLU(128)
        self.dense5_1, self.dense5_2 = nn.Linear(128, 2), nn.Linear(128, 4)

    def forward(self, pictures: Tensor) -> Tensor:
        values = self.pool(self.prelu1(self.conv1(pictures)))
        values = self.pool(self.prelu2(self.conv2(values)))
        values = self.prelu4(self.dense4(_columns_first(self.prelu3(self.conv3(values)))))
        return torch.cat([self.dense5_1(values).softmax(1)[:, 1:], self.dense5_2(values)], dim=1)


class OutputNet(nn.Module):
    """(batch, 3, 48, 48) -> (batch, 15)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 32, 3), nn.PReLU(32)
        self.conv2, self.prelu2 = nn.Conv2d(32, 64, 3), nn.PReLU(64)
        self.conv3, self.prelu3 = nn.Conv2d(64, 64, 3), nn.PReLU(64)
        self.conv4, self.prelu4 = nn.Conv2d(64, 128, 2), nn.PReLU(128)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.pool3 = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.dense5, self.prelu5 = nn.Linear(1152, 256), nn.PReLU(256)
        self.dense6_1, self.dense6_2, self.dense6_3 = nn.Linear(256, 2), nn.Linear(256, 4), nn.Linear(256, 10)

    def forward(self, pictures: Tensor) -> Tensor:
        values = self.pool(self.prelu1(self.conv1(pictures)))
        values = self.pool(self.prelu2(self.conv2(values)))
        values = self.pool3(self.prelu3(self.conv3(values)))
        values = self.prelu5(self.dense5(_columns_first(self.prelu4(self.conv4(values)))))
        heads = self.dense6_1(values).softmax(1)[:, 1:], self.dense6_2(values), self.dense6_3(values)
        return torch.cat(heads, dim=1)


def _columns_first(values: Tensor) -> Tensor:
    """(batch, channels, height, width) flattened as the MATLAB original has it: by column, row, channel."""
    return values.permute(0, 3, 2, 1).flatten(1)
