"""The planned U-Net itself, skip connections and all, as a pyramid of its decoder's stages."""

import torch
from torch import Tensor, nn

from nnunetv2_pcrl.networks.encoder import encoder_stages
from nnunetv2_pcrl.networks.pyramid import (
    Decoder,
    decoder_of,
    encoder_of,
    not_planned_alike,
    stage_strides,
)


class SkipUNet(nn.Module):
    """Encoder and decoder of a planned U-Net without its segmentation layers.

    Attributes:
        level_channels: channels of each level, low to high resolution.
        level_strides: total stride of each level per axis against the input.
    """

    decoder: Decoder = "skips"

    def __init__(self, network: nn.Module):
        """Takes the modules of a planned U-Net; they are shared, not copied."""
        super().__init__()
        decoder = decoder_of(network)
        self.encoder = encoder_of(network)
        self.transpconvs = decoder.transpconvs
        self.stages = decoder.stages
        self.level_channels = tuple(int(c) for c in reversed(self.encoder.output_channels[:-1]))
        self.level_strides = tuple(reversed(stage_strides(self.encoder.strides)[:-1]))

    def forward(self, x: Tensor, highest: int | None = None) -> list[Tensor]:
        """The feature pyramid, see `Pyramid`."""
        maps = list(encoder_stages(self.encoder, x))
        return decoded(self.transpconvs, self.stages, maps, highest)

    @torch.no_grad()
    def write_into(self, planned: nn.Module) -> None:
        """Writes encoder and decoder into a planned network, see `Pyramid`."""
        decoder = decoder_of(planned)
        try:
            encoder_of(planned).load_state_dict(self.encoder.state_dict())
            decoder.transpconvs.load_state_dict(self.transpconvs.state_dict())
            decoder.stages.load_state_dict(self.stages.state_dict())
        except RuntimeError as error:
            raise not_planned_alike(error) from error


def decoded(
    transpconvs: nn.ModuleList,
    stages: nn.ModuleList,
    maps: list[Tensor],
    highest: int | None = None,
) -> list[Tensor]:
    """The pyramid that a decoder makes of the maps of an encoder's stages.

    Args:
        transpconvs, stages: of a planned decoder.
        maps: high to low resolution.
        highest: see `Pyramid`.
    """
    *skips, x = maps
    last = len(stages) - 1 if highest is None else highest
    pyramid = []
    for level in range(last + 1):
        x = torch.cat((transpconvs[level](x), skips[-1 - level]), dim=1)
        x = stages[level](x)
        pyramid.append(x)
    return pyramid
