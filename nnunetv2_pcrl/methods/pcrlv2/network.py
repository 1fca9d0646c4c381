"""The PCRLv2 network: a non-skip backbone and the heads on every level of its pyramid."""

from torch import Tensor, nn

from nnunetv2_pcrl.networks.heads import PredictionHead, ProjectionHead, RestorationHead
from nnunetv2_pcrl.networks.non_skip import NonSkipUNet
from nnunetv2_pcrl.networks.pretraining import PretrainingNetwork


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

    def __init__(self, backbone: NonSkipUNet, num_image_channels: int):
        super().__init__()
        self.backbone = backbone
        conv_op = backbone.encoder.conv_op
        channels = backbone.level_channels
        self.projections = nn.ModuleList(ProjectionHead(c) for c in channels)
        self.predictions = nn.ModuleList(PredictionHead(c) for c in channels)
        self.level_restorations = nn.ModuleList(
            RestorationHead(conv_op, c, num_image_channels) for c in channels
        )
        self.restoration = RestorationHead(conv_op, channels[-1], num_image_channels)

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
