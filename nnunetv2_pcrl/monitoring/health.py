"""Warnings about a pretraining that goes wrong, each with a remedy."""

import math
from collections.abc import Mapping

from nnunetv2_pcrl.monitoring.log_names import RESTORATION_ERROR, of_level
from nnunetv2_pcrl.planning.settings import SMALL_COMPARISON_BATCH

# Below the rounding error of half precision, differences between images are noise.
COLLAPSE_BELOW = 1e-3
# Fewer directions than this tell hardly more than one property of an image.
LEAST_EFFECTIVE_RANK = 2.0
# From this epoch on, a restoration that is no better than the view's own mean is stuck.
FIRST_EPOCH_OF_RESTORATION = 5
STUCK_ABOVE = 0.95


def small_batch_text(batch_size: int) -> str:
    """What is wrong with a comparison batch below `SMALL_COMPARISON_BATCH`."""
    return (
        f"with a comparison batch of {batch_size} the batch normalisation of the heads says "
        f"little about the images; below {SMALL_COMPARISON_BATCH} the comparison hardly teaches "
        f"anything."
    )


def health_warnings(logged: Mapping[str, list], num_levels: int, batch_size: int) -> dict[str, str]:
    """What is wrong after the last epoch.

    Args:
        logged: lists with one value per epoch, by name.
        num_levels: levels of the pyramid.
        batch_size: images of the comparison.

    Returns:
        Texts by kind of warning; empty if all is well.
    """
    last = {name: values[-1] for name, values in logged.items() if values}
    found = {}

    def levels_below(name: str, limit: float) -> str:
        values = [last[of_level(f"val_{name}", level)] for level in range(num_levels)]
        return ", ".join(str(level) for level, value in enumerate(values) if value < limit)

    collapsed = levels_below("feature_spread", COLLAPSE_BELOW)
    if collapsed:
        found["collapse"] = (
            f"the representation has collapsed at level {collapsed}: images differ by less than "
            f'{COLLAPSE_BELOW} of the features\' size. A larger "batch_size" or a lower '
            f'"initial_lr" in the plans may help.'
        )
    narrow = levels_below("effective_rank", LEAST_EFFECTIVE_RANK)
    if narrow and batch_size > LEAST_EFFECTIVE_RANK + 1:
        found["narrow"] = (
            f"the embeddings of level {narrow} use fewer than {LEAST_EFFECTIVE_RANK:.0f} "
            f'directions. A larger "batch_size" or a lower "initial_lr" may help; so do more '
            f"different images."
        )
    if batch_size < SMALL_COMPARISON_BATCH:
        found["small batch"] = (
            f"{small_batch_text(batch_size)} "
            f'Set "batch_size" in the plans: memory does not depend on it.'
        )
    error = last[f"val_{RESTORATION_ERROR}"]
    num_epochs = len(logged["val_restoration"])
    if num_epochs > FIRST_EPOCH_OF_RESTORATION and math.isfinite(error) and error > STUCK_ABOVE:
        found["stuck at the mean"] = (
            f"after {num_epochs} epochs the restoration error is {error:.2f} of the images' "
            f'variance: hardly better than restoring the mean. A higher "initial_lr", weaker '
            f'corruption ("swapped_part", "noise_std", "blur_sigma") or more epochs may help.'
        )
    return found
