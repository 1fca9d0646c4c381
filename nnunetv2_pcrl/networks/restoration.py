"""The network of methods that restore a patch: a planned one with a head for images."""

from torch import Tensor

from nnunetv2_pcrl.networks.encoder import Encoder
from nnunetv2_pcrl.networks.heads import RestorationHead
from nnunetv2_pcrl.networks.pretraining import PretrainingNetwork
from nnunetv2_pcrl.networks.skip import SkipUNet


class RestorationNetwork(PretrainingNetwork):
    """A backbone with a linear head for features of the full resolution."""

    backbone: SkipUNet | Encoder

    def __init__(self, backbone: SkipUNet | Encoder, num_image_channels: int):
        super().__init__()
        self.backbone = backbone
        encoder = backbone.encoder
        self.restoration = RestorationHead(
            encoder.conv_op, encoder.output_channels[0], num_image_channels
        )

    def images(self, features: Tensor) -> Tensor:
        """Features of the full resolution as preprocessed images, [B, C, (D,) H, W]."""
        return self.restoration.in_intensities(self.restoration(features))
