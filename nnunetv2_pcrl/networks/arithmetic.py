"""How much of a planned network's arithmetic its encoder has, and the network without skips."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from nnunetv2_pcrl.networks.non_skip import NonSkipUNet
from nnunetv2_pcrl.networks.pyramid import decoder_of, encoder_of, stage_strides


@dataclass(frozen=True)
class Parts:
    """Arithmetic of what methods pass, over that of the planned network.

    Attributes:
        encoder: of the encoder alone, in (0, 1).
        non_skip: of the network without skip connections, in (encoder, 1).
    """

    encoder: float
    non_skip: float


def parts_of(planned: nn.Module) -> Parts:
    """Counts the multiplications of all convolutions; the network may be without memory.

    Residual encoders have two thirds of a network's arithmetic, plain ones a third.

    Args:
        planned: a U-Net as nnU-Net plans it.

    Raises:
        ValueError: if it has no encoder and decoder of the known shape.
    """
    encoder, decoder = encoder_of(planned), decoder_of(planned)
    strides = stage_strides(encoder.strides)
    encoding = sum(map(_work, encoder.stages, strides))
    stem = getattr(encoder, "stem", None)
    if stem is not None:
        encoding += _work(stem, strides[0])
    upsampling = sum(map(_work, decoder.transpconvs, strides[:0:-1]))
    decoding = sum(map(_work, decoder.stages, strides[-2::-1]))
    without_skips = sum(map(_work, NonSkipUNet(planned).stages, strides[-2::-1]))
    whole = encoding + upsampling + decoding
    return Parts(encoding / whole, (encoding + upsampling + without_skips) / whole)


def _work(module: nn.Module, stride: Sequence[int]) -> float:
    """Multiplications per voxel of the image, at a total stride.

    That is of what convolutions write, and of what transposed ones read.
    """
    kinds = nn.modules.conv._ConvNd
    weights = sum(conv.weight.numel() for conv in module.modules() if isinstance(conv, kinds))
    return weights / math.prod(stride)
