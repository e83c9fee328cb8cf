"""PANNs Cnn14 for audio tagging, with the module names of the published checkpoints.

Kong et al. 2020, "PANNs: Large-Scale Pretrained Audio Neural Networks for Audio Pattern
Recognition", section IV-A; weights and constants: github.com/qiuqiangkong/audioset_tagging_cnn.
The front end (DFT kernels and mel bank) is part of the checkpoint and is read from it.
torchlibrosa, which the published code takes it from, would compute what the checkpoint holds.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from extract.ops.sound.mel import slaney_mel_filters

SAMPLE_RATE = 32_000
FFT_SIZE = 1024
HOP_SIZE = 320
MEL_BINS = 64
MEL_RANGE_HZ = (50.0, 14_000.0)
CLASSES = 527  # of AudioSet
POWER_FLOOR = 1e-10


def dft_kernels() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Real and imaginary kernels (513, 1, 1024) of a DFT under a periodic Hann window."""
    time = np.arange(FFT_SIZE)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * time / FFT_SIZE)
    angle = -2 * np.pi * np.outer(np.arange(FFT_SIZE // 2 + 1), time) / FFT_SIZE
    real, imaginary = np.cos(angle) * window, np.sin(angle) * window
    return real[:, None].astype(np.float32), imaginary[:, None].astype(np.float32)


def mel_bank() -> NDArray[np.float32]:
    """Slaney's mel filters, (513, 64)."""
    low_hz, high_hz = MEL_RANGE_HZ
    filters = slaney_mel_filters(
        sample_rate=SAMPLE_RATE, n_fft=FFT_SIZE, bands=MEL_BINS, low_hz=low_hz, high_hz=high_hz
    )
    return filters.T.astype(np.float32)


class Stft(nn.Module):
    """The two DFT convolutions, under the checkpoint's names ``conv_real`` and ``conv_imag``."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_real = _fixed_convolution(dft_kernels()[0])
        self.conv_imag = _fixed_convolution(dft_kernels()[1])

    def forward(self, waves: Tensor) -> Tensor:
        """(batch, samples) -> power spectrogram (batch, frames, 513); centred, reflected at the ends."""
        half = FFT_SIZE // 2
        padded = F.pad(waves[:, None], (half, half), mode="reflect")
        power = self.conv_real(padded) ** 2 + self.conv_imag(padded) ** 2
        return torch.as_tensor(power).transpose(1, 2)


class SpectrogramExtractor(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stft = Stft()


class LogmelExtractor(nn.Module):
    melW: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("melW", torch.from_numpy(mel_bank()))

    def forward(self, power: Tensor) -> Tensor:
        """(..., 513) -> (..., 64) in decibels."""
        return 10 * torch.log10((power @ self.melW).clamp_min(POWER_FLOOR))


class ConvBlock(nn.Module):
    """Two 3x3 convolutions, each with batch normalisation and ReLU, then average pooling."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.bn2 = nn.BatchNorm2d(out_channels)

    def forward(self, maps: Tensor, pool: int) -> Tensor:
        maps = F.relu(self.bn1(self.conv1(maps)))
        maps = F.relu(self.bn2(self.conv2(maps)))
        return F.avg_pool2d(maps, pool) if pool > 1 else maps


class Cnn14(nn.Module):
    """Cnn14; with ``embedding_size`` 128 the published Cnn14_emb128, which differs in nothing else."""

    def __init__(self, *, embedding_size: int = 2048) -> None:
        super().__init__()
        self.spectrogram_extractor = SpectrogramExtractor()
        self.logmel_extractor = LogmelExtractor()
        self.bn0 = nn.BatchNorm2d(MEL_BINS)
        self.conv_block1 = ConvBlock(1, 64)
        self.conv_block2 = ConvBlock(64, 128)
        self.conv_block3 = ConvBlock(128, 256)
        self.conv_block4 = ConvBlock(256, 512)
        self.conv_block5 = ConvBlock(512, 1024)
        self.conv_block6 = ConvBlock(1024, 2048)
        self.fc1 = nn.Linear(2048, embedding_size)
        self.fc_audioset = nn.Linear(embedding_size, CLASSES)

    def logmel(self, waves: Tensor) -> Tensor:
        """(batch, samples) at 32 kHz in [-1, 1] -> (batch, frames, 64) in decibels, before bn0."""
        return torch.as_tensor(self.logmel_extractor(self.spectrogram_extractor.stft(waves)))

    def features(self, logmel: Tensor) -> Tensor:
        """(batch, frames, 64) -> (batch, embedding_size), after the ReLU of fc1."""
        normalised = self.bn0(logmel.transpose(1, 2)[..., None])
        maps = normalised.permute(0, 3, 2, 1).to(self.fc1.weight.dtype)
        for block in (
            self.conv_block1,
            self.conv_block2,
            self.conv_block3,
            self.conv_block4,
            self.conv_block5,
        ):
            maps = block(maps, 2)
        frames = self.conv_block6(maps, 1).mean(dim=3)
        return F.relu(self.fc1(frames.amax(dim=2) + frames.mean(dim=2)))

    def forward(self, waves: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, samples) -> embedding (batch, embedding_size), tag probabilities (batch, 527)."""
        embedding = self.features(self.logmel(waves))
        return embedding, torch.sigmoid(self.fc_audioset(embedding))


def _fixed_convolution(kernels: NDArray[np.float32]) -> nn.Conv1d:
    """A strided convolution with these kernels as a buffer: published, but never drawn or trained."""
    layer = nn.Conv1d(1, len(kernels), kernels.shape[-1], stride=HOP_SIZE, bias=False)
    del layer.weight
    layer.register_buffer("weight", torch.from_numpy(kernels))
    return layer
