"""A preprocessed case for the benchmarks, written by nnU-Net's own writer in its own layout."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from nnunetv2.training.dataloading.nnunet_dataset import comp_blosc2_params, nnUNetDatasetBlosc2

# What nnU-Net plans for a CT of this size on a GPU of 8 to 24 GB.
PATCH_SIZE = (128, 128, 128)


def write_case(folder: Path, identifier: str, image_size: Sequence[int], num_channels: int) -> None:
    """Writes a smooth random image with a little noise: it compresses as images do, about 2:1."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(
        1, num_channels, *(max(2, size // 8) for size in image_size), generator=generator
    )
    image = F.interpolate(coarse, size=tuple(image_size), mode="trilinear")[0]
    image += 0.1 * torch.randn(image.shape, generator=generator)
    blocks, chunks = comp_blosc2_params(image.shape, PATCH_SIZE, image.element_size())
    nnUNetDatasetBlosc2.save_case(
        image.numpy(),
        np.zeros((1, *image_size), dtype=np.int16),
        {},
        str(folder / identifier),
        chunks=chunks,
        blocks=blocks,
        chunks_seg=chunks,
        blocks_seg=blocks,
    )
