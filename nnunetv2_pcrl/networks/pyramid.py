"""The contract of backbones: a feature pyramid, and the way back into the planned network."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, cast

from torch import Tensor, nn

# How a decoder was trained: with skip connections, without, or not at all.
Decoder = Literal["skips", "no_skips", "none"]

SUPPORTED = "PlainConvUNet, ResidualEncoderUNet and ResidualUNet (dynamic_network_architectures)"


class PlannedEncoder(Protocol):
    """The encoder of a planned U-Net, as far as it is used here.

    Attributes:
        stages: modules, high to low resolution; the first one reads the image or the stem.
        output_channels: channels of each stage.
        strides: stride of each stage per axis.
        conv_op: the class of its convolutions.
    """

    stages: nn.Sequential
    output_channels: Sequence[int]
    strides: Sequence[Sequence[int]]
    conv_op: type[nn.Module]

    def state_dict(self) -> dict[str, Any]:
        """As of every module."""

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> object:
        """As of every module."""


class PlannedDecoder(Protocol):
    """The decoder of a planned U-Net, as far as it is used here.

    Attributes:
        stages: modules, low to high resolution, each of [upsampled, skip].
        transpconvs: what upsamples before each stage.
        seg_layers: what segments after each stage.
    """

    stages: nn.ModuleList
    transpconvs: nn.ModuleList
    seg_layers: nn.ModuleList


class Pyramid(Protocol):
    """A backbone made of a planned network's modules.

    Attributes:
        level_channels: channels of each level, low to high resolution.
        level_strides: total stride of each level per axis against the input.
        decoder: how its decoder is trained.
    """

    level_channels: tuple[int, ...]
    level_strides: tuple[tuple[int, ...], ...]
    decoder: Decoder

    def __call__(self, x: Tensor, highest: int | None = None) -> list[Tensor]:
        """Computes the feature pyramid.

        Args:
            x: images, shape [B, C, (D,) H, W]; each axis a multiple of the total stride.
            highest: highest level to compute; all levels if None.

        Returns:
            Feature maps of levels 0 (lowest resolution) to `highest`, level i of shape
            [B, level_channels[i], ...].
        """

    def write_into(self, planned: nn.Module) -> None:
        """Writes what was trained into a planned network; what was not is left as it is.

        Raises:
            ValueError: if the network was not planned like the backbone.
        """


def encoder_of(network: nn.Module) -> PlannedEncoder:
    """The encoder of a planned U-Net.

    Raises:
        ValueError: if the architecture has none of the known shape.
    """
    encoder = getattr(network, "encoder", None)
    if not all(hasattr(encoder, name) for name in ("stages", "output_channels", "strides")):
        raise unsupported(network, "it has no encoder of stages")
    return cast(PlannedEncoder, encoder)


def decoder_of(network: nn.Module) -> PlannedDecoder:
    """The decoder of a planned U-Net.

    Raises:
        ValueError: if the architecture has none of the known shape.
    """
    decoder = getattr(network, "decoder", None)
    if not all(hasattr(decoder, name) for name in ("stages", "transpconvs", "seg_layers")):
        raise unsupported(network, "it has no decoder of stages and transposed convolutions")
    return cast(PlannedDecoder, decoder)


def unsupported(network: nn.Module, reason: str) -> ValueError:
    """The error for an architecture that no pyramid can be made of."""
    return ValueError(
        f"{type(network).__module__}.{type(network).__qualname__} cannot be pretrained: {reason}. "
        f"Supported are {SUPPORTED}. Plan with one of nnU-Net's U-Net planners "
        f"(e.g. -pl ExperimentPlanner or -pl nnUNetPlannerResEncM)."
    )


def not_planned_alike(error: Exception) -> ValueError:
    """The error for a network of another plan."""
    return ValueError(f"the network was not planned like the backbone: {error}")


def stage_strides(strides: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
    """Total stride of every encoder stage per axis, high to low resolution."""
    total = [1] * len(strides[0])
    by_stage = []
    for stride in strides:
        total = [a * int(b) for a, b in zip(total, stride, strict=True)]
        by_stage.append(tuple(total))
    return tuple(by_stage)
