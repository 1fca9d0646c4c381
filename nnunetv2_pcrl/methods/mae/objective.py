"""The loss of masked autoencoding: the error of hidden voxels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from nnunetv2_pcrl.losses.restoration import in_units
from nnunetv2_pcrl.methods.mae.network import MAENetwork
from nnunetv2_pcrl.methods.objective import Batch, Numbers, Objective, Pass
from nnunetv2_pcrl.monitoring.restoring import variance_of


def masked_error(restored: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error over hidden voxels and channels, a mean over images of each one's own.

    Args:
        restored, target: shape [B, C, (D,) H, W], in units of the data set.
        mask: 1 where hidden, shape [B, 1, (D,) H, W]; every image has a hidden voxel.

    Source: Wald et al. 2025; there divided by the hidden voxels alone, C times as much.
    """
    error = ((restored - target).square() * mask).flatten(1).sum(dim=1)
    return (error / (mask.flatten(1).sum(dim=1) * target.shape[1])).mean()


@dataclass(frozen=True)
class MAEObjective(Objective[MAENetwork]):
    """The error of hidden voxels; nothing is compared between images."""

    passes = (Pass("patch", "corrupted", maps=True),)
    weights: ClassVar[Mapping[str, float]] = {"restoration": 1.0}

    def of_views(
        self, network: MAENetwork, name: str, pyramid: list[Tensor], batch: Batch
    ) -> Numbers:
        """The masked error, and what restoring each target's mean would cost."""
        target = in_units(batch["target"][0], network.restoration.stds)
        mask = batch["mask"][0]
        restored = network.restoration(network.features(pyramid, mask)).to(target.dtype)
        return {
            "restoration": masked_error(restored, target, mask),
            "target_variance": variance_of(target),
        }
