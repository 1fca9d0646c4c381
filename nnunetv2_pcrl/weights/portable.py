"""The portable weights file: tensors and plain Python, readable with weights_only=True."""

import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nnunetv2_pcrl.weights.atomic import replaced_atomically

FILE_NAME = "pretrained_weights.pth"
CITATIONS = [
    {
        "type": "Methodology",
        "name": "PCRLv2",
        "apa_citations": [
            "Zhou, H.-Y., Lu, C., Chen, C., Yang, S., & Yu, Y. (2023). A Unified Visual "
            "Information Preservation Framework for Self-supervised Pre-training in Medical Image "
            "Analysis. IEEE Transactions on Pattern Analysis and Machine Intelligence. "
            "https://doi.org/10.1109/TPAMI.2023.3234002"
        ],
    },
    {
        "type": "Framework",
        "name": "nnU-Net",
        "apa_citations": [
            "Isensee, F., Jaeger, P. F., Kohl, S. A., Petersen, J., & Maier-Hein, K. H. (2021). "
            "nnU-Net: a self-configuring method for deep learning-based biomedical image "
            "segmentation. Nature Methods, 18(2), 203-211."
        ],
    },
]


def write_weights(
    path: str | os.PathLike, network_weights: Mapping[str, Tensor], about: Mapping[str, Any]
) -> None:
    """Writes the portable file, replacing an older one only when the new one is complete.

    Args:
        path: file to write.
        network_weights: state dict of the planned skip network, under its own names.
        about: plain Python: adaptation plan, citations, nnU-Net plans, settings, epochs.

    Raises:
        UnpicklingError: if `about` holds anything else; an older file is left as it was.
    """
    # Names that share a tensor go on sharing it: a copy each would multiply the file's size.
    copies: dict[tuple, Tensor] = {}
    weights = {
        name: copies.setdefault((value.data_ptr(), value.shape), value.detach().to("cpu"))
        for name, value in network_weights.items()
    }
    with replaced_atomically(path) as temporary:
        torch.save({**about, "network_weights": weights}, temporary)
        torch.load(temporary, map_location="cpu", weights_only=True, mmap=True)


def read_weights(path: str | os.PathLike) -> dict[str, Any]:
    """Reads a weights file without running anything that it may contain.

    Returns:
        The file's dictionary, with at least `network_weights`: names to tensors on the CPU.

    Raises:
        ValueError: if there is no such file, if it is truncated or no checkpoint, if it needs
            arbitrary objects to be unpickled, or if it holds no network weights.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"there is no weights file {path}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        # PyTorch does not look at the checksums.
        damaged = zipfile.is_zipfile(path) and zipfile.ZipFile(path).testzip()
    except pickle.UnpicklingError as error:
        if not zipfile.is_zipfile(path):
            raise ValueError(_not_a_checkpoint(path)) from error
        raise ValueError(
            f"{path} holds objects besides tensors and plain values, which could run code when "
            f"read; it is refused. Use the {FILE_NAME} that PCRLv2PretrainTrainer writes beside "
            f"its checkpoints."
        ) from error
    except PermissionError:
        raise
    except Exception as error:
        # What torch raises here depends on where the file breaks off: RuntimeError, EOFError, ...
        raise ValueError(_not_a_checkpoint(path)) from error
    if damaged:
        raise ValueError(_not_a_checkpoint(path))
    weights = content.get("network_weights") if isinstance(content, dict) else None
    if (
        not isinstance(weights, dict)
        or not weights
        or not all(isinstance(v, Tensor) for v in weights.values())
    ):
        raise ValueError(
            f'{path} is a PyTorch file without "network_weights"; use the {FILE_NAME} of a '
            f"PCRLv2PretrainTrainer result"
        )
    return content


def _not_a_checkpoint(path: Path) -> str:
    size = path.stat().st_size
    return (
        f"{path} ({size} bytes) is not a complete PyTorch checkpoint: it is truncated or "
        f"something else. Copy or make it again."
    )
