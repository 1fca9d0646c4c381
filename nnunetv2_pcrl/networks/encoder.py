"""The planned encoder alone: every stage is a level, the last one level 0."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from nnunetv2_pcrl.networks.pyramid import (
    Decoder,
    PlannedEncoder,
    encoder_of,
    not_planned_alike,
    stage_strides,
)


def encoder_stages(encoder: PlannedEncoder, x: Tensor) -> Iterator[Tensor]:
    """Feature maps of every stage of a planned encoder, high to low resolution.

    Args:
        encoder: of a planned U-Net.
        x: images, shape [B, C, (D,) H, W].
    """
    stem = getattr(encoder, "stem", None)
    if stem is not None:
        x = stem(x)
    for stage in encoder.stages:
        x = stage(x)
        yield x


class Encoder(nn.Module):
    """A pyramid of the planned encoder's stages; the decoder is neither passed nor trained.

    Attributes:
        level_channels: channels of each level, low to high resolution.
        level_strides: total stride of each level per axis against the input.
    """

    decoder: Decoder = "none"

    def __init__(self, network: nn.Module):
        """Takes the encoder of a planned U-Net; it is shared, not copied."""
        super().__init__()
        self.encoder = encoder_of(network)
        self.level_channels = tuple(int(c) for c in reversed(self.encoder.output_channels))
        self.level_strides = tuple(reversed(stage_strides(self.encoder.strides)))

    def forward(self, x: Tensor, highest: int | None = None) -> list[Tensor]:
        """The feature pyramid, see `Pyramid`."""
        stages = list(encoder_stages(self.encoder, x))[::-1]
        return stages if highest is None else stages[: highest + 1]

    @torch.no_grad()
    def write_into(self, planned: nn.Module) -> None:
        """Writes the encoder into a planned network, see `Pyramid`."""
        try:
            encoder_of(planned).load_state_dict(self.encoder.state_dict())
        except RuntimeError as error:
            raise not_planned_alike(error) from error
