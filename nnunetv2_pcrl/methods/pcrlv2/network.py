"""The PCRLv2 network: a non-skip backbone and the heads on every level of its pyramid."""

from typing import Literal

from torch import Tensor, nn

from nnunetv2_pcrl.networks.heads import (
    BoundedHead,
    HiddenLayerHead,
    PredictionHead,
    ProjectionHead,
    RestorationHead,
)
from nnunetv2_pcrl.networks.non_skip import NonSkipUNet
from nnunetv2_pcrl.networks.pretraining import PretrainingNetwork

HeadsName = Literal["linear", "authors"]


class PCRLv2Network(PretrainingNetwork):
    """Backbone with projection, prediction and restoration heads per level.

    The parts are called one by one by the pretraining step, which decides what is needed.

    Attributes:
        backbone: gives the feature pyramid.
        level_restorations: one restoration head per level, for the drawn level.
        restoration: the head of the full restoration, on the highest level.

    Source: Zhou et al. 2023 (PCRLv2).
    """

    backbone: NonSkipUNet

    def __init__(self, backbone: NonSkipUNet, num_image_channels: int, heads: HeadsName = "linear"):
        """Adds heads to a backbone.

        Args:
            backbone: gives the feature pyramid.
            num_image_channels: of the images to restore.
            heads: linear ones, or the authors' for the number of axes.
        """
        super().__init__()
        self.backbone = backbone
        conv_op = backbone.encoder.conv_op
        channels = backbone.level_channels
        self.projections = nn.ModuleList(ProjectionHead(c) for c in channels)
        self.predictions = nn.ModuleList(PredictionHead(c) for c in channels)
        self.level_restorations = nn.ModuleList(
            _head(heads, conv_op, c, num_image_channels, of_level=True) for c in channels
        )
        self.restoration = _head(heads, conv_op, channels[-1], num_image_channels, of_level=False)

    @property
    def num_levels(self) -> int:
        """Levels of the feature pyramid."""
        return len(self.backbone.level_channels)

    def embed(self, level: int, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Projection z and prediction p of one population of views at one level.

        Args:
            level: level of the pyramid, 0 = lowest resolution.
            pooled: pooled features of that level, shape [B, C].

        Returns:
            z and p, each of shape [B, C].
        """
        projection = self.projections[level](pooled)
        return projection, self.predictions[level](projection)


def _head(
    heads: HeadsName, conv_op: type[nn.Module], channels: int, image_channels: int, of_level: bool
) -> RestorationHead:
    """Linear; of the authors in 3D a bounded one, in 2D one with a hidden layer on levels."""
    if heads == "authors" and conv_op is nn.Conv3d:
        return BoundedHead(conv_op, channels, image_channels, is_wide=of_level)
    if heads == "authors" and of_level:
        return HiddenLayerHead(conv_op, channels, image_channels)
    return RestorationHead(conv_op, channels, image_channels)
