"""The network of methods that restore a patch: the planned one with a head for images."""

from torch import Tensor, nn

from nnunetv2_pcrl.networks.heads import RestorationHead
from nnunetv2_pcrl.networks.pretraining import PretrainingNetwork
from nnunetv2_pcrl.networks.skip import SkipUNet


class RestorationNetwork(PretrainingNetwork):
    """The planned skip network with a linear head on its full resolution."""

    backbone: SkipUNet

    def __init__(self, planned: nn.Module, num_image_channels: int):
        super().__init__()
        self.backbone = SkipUNet(planned)
        channels = self.backbone.level_channels[-1]
        conv_op = self.backbone.encoder.conv_op
        self.restoration = RestorationHead(conv_op, channels, num_image_channels)

    def restored(self, x: Tensor) -> Tensor:
        """Images [B, C, (D,) H, W] as the network restores them."""
        restored: Tensor = self.restoration(self.backbone(x)[-1])
        return self.restoration.in_intensities(restored).to(x.dtype)
