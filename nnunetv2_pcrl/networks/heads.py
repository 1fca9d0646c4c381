"""Heads on the levels of a feature pyramid: projection, prediction, restoration."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def global_average_pool(features: Tensor) -> Tensor:
    """Mean over space: [B, C, (D,) H, W] to [B, C], at least in single precision.

    Batch normalisation of the means would magnify the rounding of half precision.
    """
    dtype = torch.promote_types(features.dtype, torch.float32)
    return features.flatten(2).mean(dim=2, dtype=dtype)


class ProjectionHead(nn.Module):
    """z = BN(GAP(features)): the pooled features, normalised over the batch.

    The batch is one population of views (all first global views, all second ones, or all local
    ones). Running statistics are not kept: they would mix the populations, and validation is to
    compute the same function as training.

    Source: Zhou et al. 2023 (PCRLv2); as in the authors' code.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.BatchNorm1d(channels, track_running_stats=False)

    def forward(self, pooled: Tensor) -> Tensor:
        """Pooled features [B, C] to projections [B, C]; B >= 2."""
        projection: Tensor = self.norm(pooled)
        return projection


class PredictionHead(nn.Module):
    """p = W2 ReLU(BN(W1 z)), C -> 2C -> C.

    Source: Zhou et al. 2023 (PCRLv2); as in the authors' code.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(channels, 2 * channels),
            nn.BatchNorm1d(2 * channels, track_running_stats=False),
            nn.ReLU(inplace=True),
            nn.Linear(2 * channels, channels),
        )

    def forward(self, projection: Tensor) -> Tensor:
        """Projections [B, C] to predictions [B, C]; B >= 2."""
        prediction: Tensor = self.layers(projection)
        return prediction


class RestorationHead(nn.Module):
    """Feature map to image channels, linear: preprocessed intensities are unbounded.

    What it gives is in standard deviations of the data set's channels, so that a learning rate
    means the same on CT, MR and films.

    Attributes:
        stds: of the channels; 1 until `set_units`.
        lows, highs: ends of the channels' robust ranges; 0 and 1 until then.
    """

    stds: Tensor
    lows: Tensor
    highs: Tensor

    def __init__(self, conv_op: type[nn.Module], channels: int, num_image_channels: int):
        super().__init__()
        self.conv = conv_op(channels, num_image_channels, kernel_size=1)
        # Measured anew by every run, so in no checkpoint.
        for name, value in (("stds", 1.0), ("lows", 0.0), ("highs", 1.0)):
            self.register_buffer(name, torch.full((num_image_channels,), value), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """[B, C, (D,) H, W] to [B, image channels, (D,) H, W], in units of the data set."""
        restoration: Tensor = self.conv(features)
        return restoration

    def in_intensities(self, restored: Tensor) -> Tensor:
        """What the head gave, as intensities of the preprocessed images."""
        return restored * self.stds.to(restored.dtype).view(-1, *[1] * (restored.ndim - 2))


class BoundedHead(RestorationHead):
    """A head that ends in a sigmoid, which spans the channel's robust range.

    The authors' images lie in [0, 1]. Before it, a level of the decoder has a 3 x 3 x 3 convolution
    and a normalisation; the full restoration has a convolution of one voxel alone.

    Source: Zhou et al. 2023 (PCRLv2), 3D; the normalisation is over an image and not over the
        batch, so that images pass apart.
    """

    def __init__(
        self, conv_op: type[nn.Module], channels: int, num_image_channels: int, is_wide: bool
    ):
        super().__init__(conv_op, channels, num_image_channels)
        self.norm: nn.Module = nn.Identity()
        if is_wide:
            self.conv = conv_op(channels, num_image_channels, kernel_size=3, padding=1)
            self.norm = nn.GroupNorm(num_image_channels, num_image_channels)

    def forward(self, features: Tensor) -> Tensor:
        """As the linear head, within the robust range."""
        part = self.norm(self.conv(features)).sigmoid()
        shape = (-1, *[1] * (part.ndim - 2))
        low, extent = (v.to(part.dtype).view(shape) for v in self._low_and_extent)
        restoration: Tensor = low + part * extent
        return restoration

    @property
    def _low_and_extent(self) -> tuple[Tensor, Tensor]:
        return self.lows / self.stds, (self.highs - self.lows) / self.stds


class HiddenLayerHead(RestorationHead):
    """A linear head behind a 3 x 3 convolution, a normalisation and a ReLU.

    Source: Zhou et al. 2023 (PCRLv2), levels in 2D; the normalisation as in `BoundedHead`.
    """

    def __init__(self, conv_op: type[nn.Module], channels: int, num_image_channels: int):
        super().__init__(conv_op, channels, num_image_channels)
        self.hidden = nn.Sequential(
            conv_op(channels, channels, kernel_size=3, padding=1),
            nn.GroupNorm(channels, channels),
            nn.ReLU(inplace=True),
        )

    def forward(self, features: Tensor) -> Tensor:
        """As the linear head."""
        restoration: Tensor = self.conv(self.hidden(features))
        return restoration


def set_units(
    network: nn.Module, stds: Sequence[float], lows: Sequence[float], highs: Sequence[float]
) -> None:
    """Tells every restoration head of a network what the channels of the images hold.

    Args:
        network: with heads anywhere in it.
        stds: standard deviation of every channel.
        lows, highs: ends of their robust ranges.
    """
    for module in network.modules():
        if isinstance(module, RestorationHead):
            for buffer, values in ((module.stds, stds), (module.lows, lows), (module.highs, highs)):
                buffer.copy_(torch.as_tensor(values))
