"""Small planned U-Nets for tests: what nnU-Net plans, with few features."""

from dataclasses import dataclass

import torch
from dynamic_network_architectures.architectures import unet
from torch import Tensor, nn

from nnunetv2_pcrl.methods.pcrlv2.network import PCRLv2Network
from nnunetv2_pcrl.networks.non_skip import NonSkipUNet

ARCHITECTURES = ("PlainConvUNet", "ResidualEncoderUNet", "ResidualUNet")
FEATURES = (4, 8, 16, 16)


@dataclass(frozen=True)
class Geometry:
    """Kernels and strides of a plan of four stages, and view sizes that fit it."""

    kernel_sizes: list[list[int]]
    strides: list[list[int]]
    global_size: tuple[int, ...]
    local_size: tuple[int, ...]

    @property
    def conv_op(self) -> type[nn.Module]:
        return nn.Conv2d if len(self.global_size) == 2 else nn.Conv3d

    @property
    def norm_op(self) -> type[nn.Module]:
        return nn.InstanceNorm2d if len(self.global_size) == 2 else nn.InstanceNorm3d


GEOMETRIES = {
    "2d": Geometry([[3, 3]] * 4, [[1, 1], [2, 2], [2, 2], [2, 2]], (16, 24), (16, 16)),
    "3d": Geometry([[3] * 3] * 4, [[1] * 3, [2] * 3, [2] * 3, [2] * 3], (8, 16, 16), (8, 8, 16)),
    "anisotropic": Geometry(
        [[1, 3, 3], [3, 3, 3], [3, 3, 3], [3, 3, 3]],
        [[1, 1, 1], [1, 2, 2], [2, 2, 2], [2, 2, 2]],
        (4, 16, 24),
        (4, 16, 16),
    ),
}


def planned_network(
    architecture: str = "PlainConvUNet",
    geometry: str = "2d",
    input_channels: int = 1,
    num_classes: int = 3,
    seed: int = 0,
    **changes,
) -> nn.Module:
    """A network as `get_network_from_plans` returns it, initialised as nnU-Net does.

    Args:
        architecture: one of `ARCHITECTURES`.
        geometry: one of `GEOMETRIES`.
        input_channels: image channels.
        num_classes: outputs of the segmentation layers.
        seed: of the initialisation; the global random state is left alone.
        changes: constructor arguments that replace the usual ones.
    """
    plan = GEOMETRIES[geometry]
    is_plain = architecture == "PlainConvUNet"
    arguments = {
        "input_channels": input_channels,
        "n_stages": len(plan.strides),
        "features_per_stage": list(FEATURES),
        "conv_op": plan.conv_op,
        "kernel_sizes": plan.kernel_sizes,
        "strides": plan.strides,
        "n_conv_per_stage" if is_plain else "n_blocks_per_stage": [1, 2, 1, 1],
        "num_classes": num_classes,
        "n_conv_per_stage_decoder": [2, 1, 2],
        "conv_bias": True,
        "norm_op": plan.norm_op,
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "nonlin": nn.LeakyReLU,
        "nonlin_kwargs": {"inplace": True},
        "deep_supervision": True,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = getattr(unet, architecture)(**(arguments | changes))
        network.apply(network.initialize)
    return network


def pretraining_network(
    architecture: str = "PlainConvUNet",
    geometry: str = "2d",
    input_channels: int = 1,
    seed: int = 0,
    **changes,
) -> PCRLv2Network:
    """The non-skip variant of `planned_network` with heads, all initialised from the seed."""
    planned = planned_network(architecture, geometry, input_channels, seed=seed, **changes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return PCRLv2Network(NonSkipUNet(planned), input_channels)


@torch.no_grad()
def shaken(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module with noise on every parameter, so that none is exactly 0 or 1 any more."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.add_(0.1 * noise.to(parameter.dtype))
    return module


def random_images(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Normal noise, equal for equal seeds."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
