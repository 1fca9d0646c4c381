"""The non-skip variant of a planned U-Net, and the way back to the planned network."""

import copy

import torch
from torch import Tensor, nn

SUPPORTED = "PlainConvUNet, ResidualEncoderUNet and ResidualUNet (dynamic_network_architectures)"


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

    def __init__(self, network: nn.Module):
        """Builds the variant.

        Args:
            network: a planned U-Net as `get_network_from_plans` returns it. Its encoder and
                transposed convolutions are shared with the variant, not copied.

        Raises:
            ValueError: if the architecture has no encoder and decoder of the known shape.
        """
        super().__init__()
        encoder, decoder = _encoder_and_decoder(network)
        self.encoder = encoder
        self.transpconvs = decoder.transpconvs
        self.stages = nn.ModuleList(copy.deepcopy(stage) for stage in decoder.stages)
        self.level_channels = tuple(int(c) for c in reversed(encoder.output_channels[:-1]))
        self.level_strides = _level_strides(encoder.strides)
        for stage, channels in zip(self.stages, self.level_channels, strict=True):
            for conv in _convolutions_over_skip(stage, channels, network):
                conv.in_channels = channels
                conv.weight = nn.Parameter(conv.weight.detach()[:, :channels].clone())

    @property
    def num_levels(self) -> int:
        """Levels of the feature pyramid: one per decoder stage."""
        return len(self.stages)

    def forward(self, x: Tensor, max_level: int | None = None) -> list[Tensor]:
        """Computes the feature pyramid.

        Args:
            x: images, shape [B, C, (D,) H, W]; each axis a multiple of the total stride.
            max_level: highest level to compute; all levels if None.

        Returns:
            Feature maps of levels 0 (lowest resolution) to `max_level`, level i of shape
            [B, level_channels[i], ...].
        """
        if getattr(self.encoder, "stem", None) is not None:
            x = self.encoder.stem(x)
        for stage in self.encoder.stages:
            x = stage(x)
        last = self.num_levels - 1 if max_level is None else max_level
        assert 0 <= last < self.num_levels, last
        pyramid = []
        for transpconv, stage in zip(
            self.transpconvs[: last + 1], self.stages[: last + 1], strict=True
        ):
            x = stage(transpconv(x))
            pyramid.append(x)
        return pyramid


@torch.no_grad()
def copy_into_skip_network(backbone: NonSkipUNet, network: nn.Module) -> None:
    """Writes a non-skip backbone into a planned skip network, whose features then equal it.

    The skip half of every widened convolution becomes zero, so that the decoder computes what the
    backbone computes. Segmentation layers are left as they are.

    Args:
        backbone: made from a network of the same plan.
        network: the planned network; overwritten.

    Raises:
        ValueError: if the network does not have the backbone's shape.
    """
    encoder, decoder = _encoder_and_decoder(network)
    try:
        encoder.load_state_dict(backbone.encoder.state_dict())
        decoder.transpconvs.load_state_dict(backbone.transpconvs.state_dict())
        for stage, source in zip(decoder.stages, backbone.stages, strict=True):
            stage.load_state_dict(_with_zero_skip_half(source.state_dict(), stage.state_dict()))
    except RuntimeError as error:
        raise ValueError(f"the network was not planned like the backbone: {error}") from error


def _with_zero_skip_half(source: dict[str, Tensor], target: dict[str, Tensor]) -> dict[str, Tensor]:
    widened = {}
    for key, value in source.items():
        wide = target.get(key)
        if wide is not None and value.ndim > 1 and wide.shape[1] == 2 * value.shape[1]:
            value = torch.cat([value, torch.zeros_like(value)], dim=1)
        widened[key] = value
    return widened


def _encoder_and_decoder(network: nn.Module) -> tuple[nn.Module, nn.Module]:
    encoder = getattr(network, "encoder", None)
    decoder = getattr(network, "decoder", None)
    known = all(
        hasattr(encoder, name) for name in ("stages", "output_channels", "strides")
    ) and all(hasattr(decoder, name) for name in ("stages", "transpconvs", "seg_layers"))
    if not known:
        raise _no_variant(network, "it has no encoder stages, transposed convolutions and decoder")
    return encoder, decoder


def _no_variant(network: nn.Module, reason: str) -> ValueError:
    return ValueError(
        f"{type(network).__module__}.{type(network).__qualname__} has no non-skip variant: "
        f"{reason}. Supported are {SUPPORTED}. Plan with one of nnU-Net's U-Net planners "
        f"(e.g. -pl ExperimentPlanner or -pl nnUNetPlannerResEncM)."
    )


def _convolutions_over_skip(stage: nn.Module, channels: int, network: nn.Module) -> list[nn.Module]:
    """Convolutions of a decoder stage that read the upsampled map and the skip together."""
    found = [
        module
        for module in stage.modules()
        if isinstance(module, nn.modules.conv._ConvNd) and module.in_channels == 2 * channels
    ]
    if not found:
        raise _no_variant(network, "its decoder stages do not concatenate upsampled map and skip")
    return found


def _level_strides(strides: list) -> tuple[tuple[int, ...], ...]:
    total = [1] * len(strides[0])
    by_stage = []
    for stride in strides:
        total = [a * int(b) for a, b in zip(total, stride, strict=True)]
        by_stage.append(tuple(total))
    return tuple(reversed(by_stage[:-1]))
