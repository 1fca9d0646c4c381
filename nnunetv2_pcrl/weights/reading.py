"""Reading a file of unknown origin without running anything that it may contain."""

import errno
import os
import pickle
import re
import shlex
import zipfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

CONVERTER = "nnUNetv2_pcrl_convert_weights"
# Layers of the networks that the authors of PCRLv2 released: 3D, and 2D (segmentation_models).
AUTHORS_LAYERS = (b"down_tr64.ops.", b"model.decoder.blocks.0.predictor_head.")
# Far above what checkpoints hold, an optimiser's state and a log among them.
MAX_VALUES, MAX_DEPTH, MAX_NAME = 2_000_000, 50, 500
_NUMBERS = ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")


class IncompleteFileError(ValueError):
    """A file is no PyTorch file, or only a part of one.

    Attributes:
        reason: why it cannot be read, with its name, without a remedy.
    """

    def __init__(self, path: Path):
        self.reason = (
            f"{path} ({path.stat().st_size} bytes) is not a complete PyTorch checkpoint: it is "
            f"truncated or something else"
        )
        super().__init__(f"{self.reason}. Copy or make it again.")


def read_weights(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads a weights file or checkpoint without running anything that it may contain.

    Returns:
        The file's dictionary, with at least `network_weights`: names to tensors on the CPU.

    Raises:
        ValueError: as `load_safely`, and if the file holds no network weights.
        OSError: if it cannot be read.
    """
    path = Path(path)
    content = load_safely(path)
    if not isinstance(content, dict) or not is_state_dict(content.get("network_weights")):
        raise ValueError(
            f'{path} is a PyTorch file without "network_weights". Use the pretrained_weights.pth '
            f"of a pretraining, a checkpoint of nnU-Net or nnssl, or convert it: "
            f"{CONVERTER} {shlex.quote(str(path))} OUTPUT"
        )
    return content


def load_safely(path: Path) -> Any:
    """Loads any PyTorch file of tensors and plain values, numpy's numbers among them.

    Raises:
        IncompleteFileError: if it is truncated or no checkpoint.
        ValueError: if there is no such file, if it needs arbitrary objects to be unpickled, if it
            needs more memory than there is, or if it is a file of PCRLv2's authors.
        OSError: if it cannot be read.
    """
    if not path.is_file():
        raise ValueError(f"there is no weights file {path}")
    try:
        _check_archive(path)
        # nnU-Net's checkpoints hold numbers of numpy.
        with torch.serialization.safe_globals(_numpy_numbers()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not zipfile.is_zipfile(path) and not _is_pickle(path):
            raise IncompleteFileError(path) from error
        check_not_the_authors(path)
        raise ValueError(_needs_objects(path, error)) from error
    except Exception as error:
        raise reading_error(path, error) from error
    check_not_the_authors(path)
    check_extent(path, content)
    return content


def reading_error(path: Path, error: Exception) -> Exception:
    """What to raise in the place of what PyTorch raised on reading a file, with its name."""
    # PyTorch looks for the end of an archive, and so before the beginning of a short file.
    if isinstance(error, OSError) and error.errno != errno.EINVAL:
        return OSError(error.errno, error.strerror, str(path))
    if isinstance(error, MemoryError) or "allocate memory" in str(error):
        return ValueError(
            f"{path} ({path.stat().st_size} bytes) needs more memory than this machine has free: "
            f"end other programs, or use a machine with more"
        )
    # It depends on where the file breaks off: RuntimeError, EOFError, BadZipFile, ...
    return IncompleteFileError(path)


def is_state_dict(value: Any) -> bool:
    """Whether it is a dictionary of at least one tensor by name and nothing else."""
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in value.items())
    )


def check_tensors(weights: Mapping[str, Tensor]) -> None:
    """Refuses tensors that are not stored value by value, and names that no module has.

    Raises:
        ValueError: naming the first one.
    """
    for name, value in weights.items():
        if not name.isprintable() or len(name) > MAX_NAME:
            raise ValueError(
                f"a tensor is called {name[:80]!a}, as no module of a network is; use a file that "
                f"was made from the state_dict() of a network"
            )
        is_plain = value.layout is torch.strided and value.device.type == "cpu"
        if not is_plain or value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise ValueError(
                f"the tensor {name} is sparse, or without values of its own; use a file "
                f"with plain tensors, as torch.save writes the state_dict() of a network"
            )


def _check_archive(path: Path) -> None:
    """Refuses a damaged archive, as PyTorch does not look at the checksums, and a compressed one.

    PyTorch compresses nothing; a small file could unfold to more than the memory holds.

    Raises:
        BadZipFile: without a text.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            is_compressed = any(info.compress_type for info in archive.infolist())
            if is_compressed or archive.testzip():
                raise zipfile.BadZipFile


def check_extent(path: Path, content: Any) -> None:
    """Refuses values in values without end, which a few bytes can describe.

    Raises:
        ValueError: with the file.
    """
    found, pending = 0, [(content, 0)]
    inner: Collection[Any]
    while pending:
        value, depth = pending.pop()
        if isinstance(value, Mapping):
            inner = [*value.keys(), *value.values()]
        else:
            inner = value if isinstance(value, list | tuple | set | frozenset) else ()
        found += len(inner)
        if found > MAX_VALUES or depth > MAX_DEPTH:
            raise ValueError(
                f"{path} holds more than {MAX_VALUES} values, or values in values more than "
                f"{MAX_DEPTH} deep, besides its tensors: it is no checkpoint of a network"
            )
        pending += [(item, depth + 1) for item in inner]


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


def _numpy_numbers() -> list[Any]:
    """What unpickling numpy's numbers calls, under the names of numpy 1 and 2."""
    kinds = {type(np.dtype(code)) for code in _NUMBERS}
    return [np.dtype, *kinds, *(_scalar(name) for name in ("numpy._core", "numpy.core"))]


def _scalar(package: str) -> Callable[..., np.generic]:
    """The function of numpy that makes a number, for numbers only."""

    def scalar(dtype: np.dtype[Any], value: bytes = b"") -> np.generic:
        if dtype.kind not in "biuf":
            raise pickle.UnpicklingError(f"a numpy value of type {dtype}, which is no number")
        number: np.generic = np.frombuffer(value, dtype)[0]
        return number

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
        f"read; it is refused. If you trust whoever made it, convert it once: {CONVERTER} "
        f"{shlex.quote(str(path))} OUTPUT --trust. Otherwise use the pretrained_weights.pth that "
        f"a pretraining writes beside its checkpoints"
    )
