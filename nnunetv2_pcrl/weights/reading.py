"""Reading a file of unknown origin without running anything that it may contain."""

import os
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

CONVERTER = "nnUNetv2_pcrl_convert_weights"
# Layers of the networks that the authors of PCRLv2 released: 3D, and 2D (segmentation_models).
AUTHORS_LAYERS = (b"down_tr64.ops.", b"model.decoder.blocks.0.predictor_head.")
_NUMBERS = ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")


def read_weights(path: str | os.PathLike) -> dict[str, Any]:
    """Reads a weights file or checkpoint without running anything that it may contain.

    Returns:
        The file's dictionary, with at least `network_weights`: names to tensors on the CPU.

    Raises:
        ValueError: as `load_safely`, and if the file holds no network weights.
    """
    path = Path(path)
    content = load_safely(path)
    weights = content.get("network_weights") if isinstance(content, dict) else None
    if not is_state_dict(weights):
        raise ValueError(
            f'{path} is a PyTorch file without "network_weights". Use the pretrained_weights.pth '
            f"of a PCRLv2PretrainTrainer result, a checkpoint of nnU-Net or nnssl, or convert it: "
            f"{CONVERTER} {path} OUTPUT"
        )
    return content


def load_safely(path: Path) -> Any:
    """Loads any PyTorch file of tensors and plain values, numpy's numbers among them.

    Raises:
        ValueError: if there is no such file, if it is truncated or no checkpoint, if it needs
            arbitrary objects to be unpickled, or if it is a file of PCRLv2's authors.
    """
    if not path.is_file():
        raise ValueError(f"there is no weights file {path}")
    try:
        # nnU-Net's checkpoints hold numbers of numpy.
        with torch.serialization.safe_globals(_numpy_numbers()):
            content = torch.load(path, map_location="cpu", weights_only=True)
        # PyTorch does not look at the checksums.
        damaged = zipfile.is_zipfile(path) and zipfile.ZipFile(path).testzip()
    except pickle.UnpicklingError as error:
        if not zipfile.is_zipfile(path) and not _is_pickle(path):
            raise ValueError(_not_a_checkpoint(path)) from error
        check_not_the_authors(path)
        raise ValueError(_needs_objects(path, error)) from error
    except PermissionError:
        raise
    except Exception as error:
        # What torch raises here depends on where the file breaks off: RuntimeError, EOFError, ...
        raise ValueError(_not_a_checkpoint(path)) from error
    if damaged:
        raise ValueError(_not_a_checkpoint(path))
    check_not_the_authors(path)
    return content


def is_state_dict(value: Any) -> bool:
    """Whether it is a dictionary of at least one tensor by name and nothing else."""
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in value.items())
    )


def check_not_the_authors(path: Path) -> None:
    """Declines the files that the authors of PCRLv2 released, told by names of layers in them.

    Raises:
        ValueError: with the explanation.
    """
    if any(layer in _pickled_part(path) for layer in AUTHORS_LAYERS):
        raise ValueError(
            f"{path} is a network of PCRLv2's authors: a fixed U-Net with batch normalisation "
            f"(3D: 64 to 512 features, max pooling; 2D: a ResNet-18), which matches no network "
            f"that nnU-Net plans, so nothing of it can be loaded. Pretrain the planned network "
            f"instead: nnUNetv2_train DATASET CONFIGURATION all -tr PCRLv2PretrainTrainer"
        )


def _pickled_part(path: Path) -> bytes:
    """The file's bytes without its tensors, where it is an archive; nothing is unpickled."""
    if not zipfile.is_zipfile(path):
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith("data.pkl")]
        return b"".join(archive.read(name) for name in names)


def _numpy_numbers() -> list:
    """What unpickling numpy's numbers calls, under the names of numpy 1 and 2."""
    kinds = {type(np.dtype(code)) for code in _NUMBERS}
    return [np.dtype, *kinds, *(_scalar(name) for name in ("numpy._core", "numpy.core"))]


def _scalar(package: str):
    """The function of numpy that makes a number, for numbers only."""

    def scalar(dtype: np.dtype, value: bytes = b""):
        if dtype.kind not in "biuf":
            raise pickle.UnpicklingError(f"a numpy value of type {dtype}, which is no number")
        return np.frombuffer(value, dtype)[0]

    scalar.__module__ = f"{package}.multiarray"
    scalar.__qualname__ = "scalar"
    return scalar


def _is_pickle(path: Path) -> bool:
    with open(path, "rb") as file:
        return re.match(rb"\x80[\x02-\x05].", file.read(3), re.DOTALL) is not None


def _needs_objects(path: Path, error: Exception) -> str:
    match = re.search(r"GLOBAL (\S+)", str(error))
    needed = f" (the first one: {match[1]})" if match else ""
    return (
        f"{path} holds objects besides tensors and plain values{needed}, which could run code when "
        f"read; it is refused. If you trust whoever made it, convert it once: {CONVERTER} {path} "
        f"OUTPUT --trust. Otherwise use the pretrained_weights.pth that PCRLv2PretrainTrainer "
        f"writes beside its checkpoints"
    )


def _not_a_checkpoint(path: Path) -> str:
    size = path.stat().st_size
    return (
        f"{path} ({size} bytes) is not a complete PyTorch checkpoint: it is truncated or "
        f"something else. Copy or make it again."
    )
