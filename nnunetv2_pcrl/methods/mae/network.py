"""The network of masked autoencoding: the planned one, with a head for images."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nnunetv2_pcrl.networks.encoder import Encoder
from nnunetv2_pcrl.networks.pyramid import decoder_of, encoder_of
from nnunetv2_pcrl.networks.restoration import RestorationNetwork
from nnunetv2_pcrl.networks.skip import SkipUNet, decoded


class MAENetwork(RestorationNetwork):
    """The planned skip network; or its encoder, and a decoder that is not kept.

    Attributes:
        decoder: of a densified network, learned beside the backbone.
    """

    decoder: "DensifiedDecoder | None"

    def __init__(self, planned: nn.Module, num_image_channels: int, densified: bool = False):
        super().__init__(Encoder(planned) if densified else SkipUNet(planned), num_image_channels)
        self.decoder = DensifiedDecoder(planned) if densified else None

    def features(self, pyramid: list[Tensor], mask: Tensor) -> Tensor:
        """Features of the full resolution.

        Args:
            pyramid: of the backbone.
            mask: 1 where the input was hidden, [B, 1, (D,) H, W].
        """
        if self.decoder is None:
            return pyramid[-1]
        features: Tensor = self.decoder(pyramid, mask)
        return features


class DensifiedDecoder(nn.Module):
    """The planned decoder, whose skips are filled in where a stage of the encoder saw nothing.

    There a map holds what the encoder makes of the fill. A learned token takes its place, and a
    convolution on every map but the finest, where it would cost the most, spreads what is seen.

    Source: Tian et al. 2023 (SparK), Wald et al. 2025 (S3D); there the encoder's convolutions are
        sparse besides.
    """

    def __init__(self, planned: nn.Module):
        super().__init__()
        encoder, decoder = encoder_of(planned), decoder_of(planned)
        self.transpconvs = decoder.transpconvs
        self.stages = decoder.stages
        self.tokens = nn.ParameterList(
            nn.Parameter(torch.empty(channels).normal_(std=0.02))
            for channels in encoder.output_channels
        )
        self.densifying = nn.ModuleList(
            encoder.conv_op(channels, channels, kernel_size=3, padding=1)
            if stage
            else nn.Identity()
            for stage, channels in enumerate(encoder.output_channels)
        )

    def forward(self, pyramid: list[Tensor], mask: Tensor) -> Tensor:
        """Features of the full resolution.

        Args:
            pyramid: maps of the encoder's stages, low to high resolution.
            mask: 1 where the input was hidden, [B, 1, (D,) H, W].
        """
        maps = []
        for features, token, dense in zip(
            reversed(pyramid), self.tokens, self.densifying, strict=True
        ):
            hidden = wholly_hidden(mask, features.shape[2:])
            shape = (-1, *[1] * (features.ndim - 2))
            filled = torch.where(hidden, token.to(features.dtype).view(shape), features)
            maps.append(dense(filled))
        return decoded(self.transpconvs, self.stages, maps)[-1]


def wholly_hidden(mask: Tensor, size: tuple[int, ...]) -> Tensor:
    """Where nothing of what a voxel of a map stands for was seen, bool [B, 1, *size].

    Args:
        mask: 1 where hidden, [B, 1, (D,) H, W].
        size: of the map, which divides that of the mask.
    """
    stride = [full // own for full, own in zip(mask.shape[2:], size, strict=True)]
    pool = F.max_pool2d if len(stride) == 2 else F.max_pool3d
    return pool(1 - mask, stride, stride) == 0
