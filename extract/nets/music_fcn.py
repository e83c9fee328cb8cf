"""The fully convolutional music tagger of Choi et al., with the module names of the published files.

Choi, Fazekas & Sandler 2016, "Automatic tagging using deep convolutional neural networks" (arXiv
1606.00298), as trained by Won et al. 2020, "Evaluation of CNN-based automatic music tagging
models" (arXiv 2006.00751): github.com/minzwon/sota-music-tagging-models. Window and mel bank are
part of the file and are read from it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from extract.ops.sound.mel import htk_mel_filters

SAMPLE_RATE = 16_000
FFT_SIZE = 512
HOP_SAMPLES = 256
BANDS = 96
POWER_FLOOR = 1e-10
FEATURES = 64
TAGS = 50


class Spectrogram(nn.Module):
    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(FFT_SIZE))

    def forward(self, waves: Tensor) -> Tensor:
        """(batch, samples) -> power (batch, 257, frames), frames centred, reflected at the ends."""
        spectrum = torch.stft(
            waves, FFT_SIZE, HOP_SAMPLES, window=self.window, pad_mode="reflect", return_complex=True
        )
        return spectrum.real**2 + spectrum.imag**2


class MelScale(nn.Module):
    fb: Tensor

    def __init__(self) -> None:
        super().__init__()
        filters = htk_mel_filters(
            sample_rate=SAMPLE_RATE,
            n_fft=FFT_SIZE,
            bands=BANDS,
            low_hz=0.0,
            high_hz=SAMPLE_RATE / 2,
            straight_in="hertz",
        )
        self.register_buffer("fb", torch.from_numpy(filters.T).float())


class MelSpectrogram(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.spectrogram = Spectrogram()
        self.mel_scale = MelScale()

    def forward(self, waves: Tensor) -> Tensor:
        """(batch, samples) -> power (batch, 96, frames)."""
        power: Tensor = self.spectrogram(waves)
        return (power.transpose(1, 2) @ self.mel_scale.fb).transpose(1, 2)


class ConvBlock(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, pool: tuple[int, int]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.bn = nn.BatchNorm2d(out_channels)
        self.pool = pool

    def forward(self, maps: Tensor) -> Tensor:
        return F.max_pool2d(F.relu(self.bn(self.conv(maps))), self.pool)


class MusicFcn(nn.Module):
    """Log-mel spectrograms of 1280 to 2559 frames, which the poolings turn into one cell."""

    def __init__(self) -> None:
        super().__init__()
        self.spec = MelSpectrogram()
        self.spec_bn = nn.BatchNorm2d(1)
        self.layer1 = ConvBlock(1, 64, (2, 4))
        self.layer2 = ConvBlock(64, 128, (2, 4))
        self.layer3 = ConvBlock(128, 128, (2, 4))
        self.layer4 = ConvBlock(128, 128, (3, 5))
        self.layer5 = ConvBlock(128, FEATURES, (4, 4))
        self.dense = nn.Linear(FEATURES, TAGS)

    def logmel(self, waves: Tensor) -> Tensor:
        """(batch, samples) at 16 kHz in [-1, 1] -> (batch, 96, frames) in decibels."""
        return 10 * torch.log10(self.spec(waves).clamp_min(POWER_FLOOR))

    def features(self, logmel: Tensor) -> Tensor:
        """(batch, 96, frames) -> (batch, 64), what the tags are read from."""
        maps = self.spec_bn(logmel[:, None]).to(self.dense.weight.dtype)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4, self.layer5):
            maps = layer(maps)
        return torch.as_tensor(maps).flatten(1)

    def forward(self, waves: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, samples) -> features (batch, 64), tag probabilities (batch, 50)."""
        features = self.features(self.logmel(waves))
        return features, torch.sigmoid(self.dense(features))
