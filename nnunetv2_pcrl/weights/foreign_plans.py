"""Plans that come out of a weights file: what may be built from them.

nnU-Net imports and calls whatever plans name. In a file of others that could be anything, so such
plans may name the networks that are known here, modules of torch.nn, and numbers within bounds.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

KNOWN_NETWORKS = ("PlainConvUNet", "ResidualEncoderUNet", "ResidualUNet")
# Far above what nnU-Net plans.
MAX_PARAMETERS = 2_000_000_000
_MAX_NUMBER, _MAX_COUNT, _MAX_LENGTH, _MAX_DEPTH = 8192, 64, 64, 3
_NETWORK = re.compile(
    r"dynamic_network_architectures\.architectures\.(unet|residual_unet)\.(\w+)", re.ASCII
)
_MODULE = re.compile(r"torch\.nn\.(modules\.\w+\.)?(\w+)", re.ASCII)
_REMEDY = "name the plans file of the target with --plans if you trust what it names"


def check_architecture(architecture: Any) -> None:
    """Lets the `architecture` of a configuration pass if nnU-Net may build it.

    Args:
        architecture: from a file of others.

    Raises:
        ValueError: naming what is not known here.
    """
    if not isinstance(architecture, Mapping):
        raise ValueError(f"the plans in the file describe no network; {_REMEDY}")
    name = architecture.get("network_class_name")
    match = _NETWORK.fullmatch(name) if isinstance(name, str) else None
    if match is None or match[2] not in KNOWN_NETWORKS:
        raise ValueError(
            f"the plans in the file want the network {_shown(name)}, which is none of "
            f"{', '.join(KNOWN_NETWORKS)} of dynamic_network_architectures; {_REMEDY}"
        )
    arguments, imported = architecture.get("arch_kwargs"), architecture.get("_kw_requires_import")
    if not isinstance(arguments, Mapping) or not isinstance(imported, Sequence):
        raise ValueError(f"the plans in the file do not say how the network is built; {_REMEDY}")
    for argument, value in arguments.items():
        is_fit = (
            value is None or _is_torch_module(value)
            if argument in imported
            else _is_plain(value, _MAX_COUNT if str(argument).startswith("n_") else _MAX_NUMBER)
        )
        if not is_fit:
            raise ValueError(
                f"the plans in the file want the network with {_shown(argument)} = "
                f"{_shown(value)}, which is no module of torch.nn and no number that nnU-Net "
                f"would plan; {_REMEDY}"
            )
    unknown = [argument for argument in imported if argument not in arguments]
    if unknown:
        raise ValueError(
            f"the plans in the file want to import {_shown(unknown[0])}, and do not say what it "
            f"is; {_REMEDY}"
        )


def _is_torch_module(name: Any) -> bool:
    match = _MODULE.fullmatch(name) if isinstance(name, str) else None
    if match is None:
        return False
    found = getattr(nn, match[2], None)
    return (
        isinstance(found, type)
        and issubclass(found, nn.Module)
        # What nnU-Net finds under the name, and nothing that only looks like it.
        and (match[1] is None or f"torch.nn.{match[1]}" == f"{found.__module__}.")
    )


def _is_plain(value: Any, limit: float, depth: int = 0) -> bool:
    """Whether it is numbers within bounds, in lists or dictionaries of little extent."""
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int | float):
        return -limit <= value <= limit
    if not isinstance(value, list | tuple | dict) or len(value) > _MAX_LENGTH or depth > _MAX_DEPTH:
        return False
    values = value.values() if isinstance(value, dict) else value
    return all(_is_plain(item, limit, depth + 1) for item in values)


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
