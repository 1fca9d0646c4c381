"""The names that a planned U-Net gives to its tensors, for those that came out of wrappers."""

import re
from collections.abc import Mapping

from torch import Tensor

_WRAPPERS = re.compile(r"^(module\.|_orig_mod\.)+")


def unwrapped(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names without what DistributedDataParallel and torch.compile put before them."""
    return {_WRAPPERS.sub("", name): value for name, value in weights.items()}


def names_of_pretraining(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names for the backbone of a pretraining network; its heads are dropped."""
    prefix = "backbone."
    backbone = {n.removeprefix(prefix): v for n, v in weights.items() if n.startswith(prefix)}
    if not any(name.startswith("transpconvs.") for name in backbone):
        return without_prefix(backbone)
    # A backbone without skip connections holds the parts of the decoder beside the encoder.
    return {
        name if name.startswith("encoder.") else f"decoder.{name}": value
        for name, value in backbone.items()
        if name.startswith(("encoder.", "transpconvs.", "stages."))
    }


def without_prefix(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names without the wrapper that holds the U-Net, e.g. "model.encoder.stages..."."""
    matches = [re.match(r"(.*?)encoder\.(stem|stages)\.", name) for name in weights]
    # The decoder holds the encoder once more, under a longer name.
    prefix = min((match[1] for match in matches if match), key=len, default="")
    return {name.removeprefix(prefix): value for name, value in weights.items()}
