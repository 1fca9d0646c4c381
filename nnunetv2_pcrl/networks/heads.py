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
    """

    stds: Tensor

    def __init__(self, conv_op: type[nn.Module], channels: int, num_image_channels: int):
        super().__init__()
        self.conv = conv_op(channels, num_image_channels, kernel_size=1)
        # Measured anew by every run, so in no checkpoint.
        self.register_buffer("stds", torch.ones(num_image_channels), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """[B, C, (D,) H, W] to [B, image channels, (D,) H, W], in units of the data set."""
        restoration: Tensor = self.conv(features)
        return restoration

    def in_intensities(self, restored: Tensor) -> Tensor:
        """What the head gave, as intensities of the preprocessed images."""
        return restored * self.stds.to(restored.dtype).view(-1, *[1] * (restored.ndim - 2))


def set_units(network: nn.Module, stds: Sequence[float]) -> None:
    """Tells every restoration head of a network the standard deviations of the channels."""
    for module in network.modules():
        if isinstance(module, RestorationHead):
            module.stds.copy_(torch.as_tensor(stds))
