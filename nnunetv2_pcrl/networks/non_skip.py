"""The non-skip variant of a planned U-Net, and the way back to the planned network."""

import copy

import torch
from torch import Tensor, nn

from nnunetv2_pcrl.networks.encoder import encoder_stages
from nnunetv2_pcrl.networks.pyramid import (
    Decoder,
    decoder_of,
    encoder_of,
    not_planned_alike,
    stage_strides,
    unsupported,
)


class NonSkipUNet(nn.Module):
    """Encoder, bottleneck and decoder of a planned U-Net without its skip connections.

    The encoder and the transposed convolutions are the planned modules themselves. Each decoder
    stage is a copy of the planned one whose convolutions that read [upsampled, skip] (2C channels)
    keep only the weights of the upsampled half (C channels).

    Attributes:
        level_channels: channels of each pyramid level, low to high resolution.
        level_strides: total stride of each level per axis against the input.

    Source: Zhou et al. 2023 (PCRLv2) pretrain a U-Net without skip connections.
    """

    decoder: Decoder = "no_skips"

    def __init__(self, network: nn.Module):
        """Builds the variant.

        Args:
            network: a planned U-Net as `get_network_from_plans` returns it. Its encoder and
                transposed convolutions are shared with the variant, not copied.

        Raises:
            ValueError: if the architecture has no encoder and decoder of the known shape.
        """
        super().__init__()
        encoder, decoder = encoder_of(network), decoder_of(network)
        self.encoder = encoder
        self.transpconvs = decoder.transpconvs
        self.stages = nn.ModuleList(copy.deepcopy(stage) for stage in decoder.stages)
        self.level_channels = tuple(int(c) for c in reversed(encoder.output_channels[:-1]))
        self.level_strides = tuple(reversed(stage_strides(encoder.strides)[:-1]))
        for stage, channels in zip(self.stages, self.level_channels, strict=True):
            for conv in _convolutions_over_skip(stage, channels, network):
                conv.in_channels = channels
                conv.weight = nn.Parameter(conv.weight.detach()[:, :channels].clone())

    def forward(self, x: Tensor, highest: int | None = None) -> list[Tensor]:
        """The feature pyramid, see `Pyramid`."""
        for features in encoder_stages(self.encoder, x):
            x = features
        last = len(self.stages) - 1 if highest is None else highest
        pyramid = []
        for transpconv, stage in zip(
            self.transpconvs[: last + 1], self.stages[: last + 1], strict=True
        ):
            x = stage(transpconv(x))
            pyramid.append(x)
        return pyramid

    @torch.no_grad()
    def write_into(self, planned: nn.Module) -> None:
        """Writes the backbone into a planned skip network, whose features then equal it.

        The skip half of every widened convolution becomes zero, so that the decoder computes what
        the backbone computes. Segmentation layers are left as they are.

        Args:
            planned: made from the same plan; overwritten.

        Raises:
            ValueError: if the network does not have the backbone's shape.
        """
        decoder = decoder_of(planned)
        try:
            encoder_of(planned).load_state_dict(self.encoder.state_dict())
            decoder.transpconvs.load_state_dict(self.transpconvs.state_dict())
            for stage, source in zip(decoder.stages, self.stages, strict=True):
                stage.load_state_dict(_with_zero_skip_half(source.state_dict(), stage.state_dict()))
        except RuntimeError as error:
            raise not_planned_alike(error) from error


def _with_zero_skip_half(source: dict[str, Tensor], target: dict[str, Tensor]) -> dict[str, Tensor]:
    widened = {}
    for key, value in source.items():
        wide = target.get(key)
        if wide is not None and value.ndim > 1 and wide.shape[1] == 2 * value.shape[1]:
            value = torch.cat([value, torch.zeros_like(value)], dim=1)
        widened[key] = value
    return widened


def _convolutions_over_skip(
    stage: nn.Module, channels: int, network: nn.Module
) -> list[nn.modules.conv._ConvNd]:
    """Convolutions of a decoder stage that read the upsampled map and the skip together."""
    found = [
        module
        for module in stage.modules()
        if isinstance(module, nn.modules.conv._ConvNd) and module.in_channels == 2 * channels
    ]
    if not found:
        raise unsupported(network, "its decoder stages do not concatenate upsampled map and skip")
    return found
