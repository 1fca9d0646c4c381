"""How many views pass a backbone at a time, and which backbones need all of them at once."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

# A small view alone is convolved by a slower kernel of PyTorch's than two are: with patches of 32
# voxels a side, a step takes five times as long, in three times the memory.
LEAST_VIEWS_ON_CPU = 2


@dataclass(frozen=True)
class MicroBatch:
    """How much passes a backbone at a time.

    Attributes:
        voxels: of all views together; at least one view passes.
    """

    voxels: int

    @classmethod
    def of_plan(
        cls,
        batch_size: int,
        patch_size: Sequence[int],
        views: int | None,
        view_voxels: int,
        device: torch.device,
    ) -> "MicroBatch":
        """Half the voxels of a segmentation step of the plan.

        Half, so that the views of the whole batch find room beside them: with all of its voxels
        the step was measured to need slightly more memory than segmentation.

        Args:
            batch_size, patch_size: of the plan.
            views: as many voxels as so many of the largest views instead; None for the default.
            view_voxels: of the largest view.
            device: where they pass; on a CPU there are two largest views at least.
        """
        if views is not None:
            return cls(views * view_voxels)
        least = LEAST_VIEWS_ON_CPU * view_voxels if device.type == "cpu" else 0
        return cls(max(batch_size * math.prod(patch_size) // 2, least))

    def views_of(self, shape: Sequence[int]) -> int:
        """How many views of shape [C, (D,) H, W] pass at a time, at least one."""
        return max(1, self.voxels // math.prod(shape[1:]))


def couples_images(backbone: nn.Module) -> bool:
    """True if a view's features depend on the other views of a pass, or on chance.

    Batch normalisation and dropout do that; passes with and without gradient would then not agree.
    """
    return any(
        isinstance(module, nn.modules.batchnorm._BatchNorm | nn.modules.dropout._DropoutNd)
        for module in backbone.modules()
    )


def normalise_jointly(network: nn.Module) -> None:
    """Lets batch normalisation of maps run over the images of all processes.

    Args:
        network: whose parts that see maps are changed, and no other heads: these see the pooled
            features of all images, one row each, and normalise rows.
    """
    maps = (nn.BatchNorm2d, nn.BatchNorm3d)
    for name, child in list(network.named_children()):
        if any(isinstance(module, maps) for module in child.modules()):
            setattr(network, name, nn.SyncBatchNorm.convert_sync_batchnorm(child))


def slices(count: int, size: int) -> Iterator[slice]:
    """All of so many, as slices of a size; the last may be smaller."""
    return (slice(start, start + size) for start in range(0, count, size))
