"""Whether the views of a step can fit into the memory at all, asked before the first step."""

import os
from pathlib import Path

import torch

_GIB = 2**30
_CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def total_memory(device: torch.device) -> int:
    """Bytes of memory that the device has: of a GPU its own, of a CPU what its container may use.

    What others use of it at the moment is part of it.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in _CGROUP_LIMITS:
        # A limit of its own, or "max".
        if file.is_file() and (text := file.read_text().strip()).isdigit():
            limits.append(int(text))
    return min(limits)


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory did not suffice, of this process or of a worker's."""
    return (
        isinstance(error, MemoryError | torch.OutOfMemoryError)
        # PyTorch's allocator of the CPU knows no type of its own.
        or "can't allocate memory" in str(error)
    )


def check_batch_fits(
    num_images: int, batch_size: int, values_per_image: int, device: torch.device
) -> None:
    """Refuses a batch whose views alone need more memory than the device has.

    A refusal, because such a step cannot work; one that fits is not warned about, because what it
    needs besides the views depends on the network.

    Args:
        num_images: of this process.
        batch_size: of all processes.
        values_per_image: of all views of an image, over all channels; each takes 4 bytes.
        device: where the batch is collected.

    Raises:
        ValueError: with the memory that it would take, and the remedy.
    """
    needed, total = 4 * num_images * values_per_image, total_memory(device)
    if needed > total:
        raise ValueError(
            f'the views of {num_images} images ("batch_size" {batch_size}) take '
            f"{needed / _GIB:,.1f} GiB, {4 * values_per_image / _GIB:,.3f} GiB each, and {device} "
            f'has {total / _GIB:,.1f} GiB: lower "batch_size", or the number or size of the views'
        )
