"""Warnings about a pretraining that goes wrong, each with a remedy."""

import math
from collections.abc import Mapping

from nnunetv2_pcrl.methods.pcrlv2.settings import SMALL_COMPARISON_BATCH, PCRLv2Settings
from nnunetv2_pcrl.monitoring.log_names import RESTORATION_ERROR, of_level

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


def health_warnings(
    logged: Mapping[str, list], num_levels: int, settings: PCRLv2Settings
) -> dict[str, str]:
    """What is wrong after the last epoch with what the loss trains.

    Args:
        logged: lists with one value per epoch, by name.
        num_levels: levels of the pyramid.
        settings: of the run; what they leave out of the loss is not warned about.

    Returns:
        Texts by kind of warning; empty if all is well.
    """
    compared = _of_comparison(logged, num_levels, settings) if settings.comparison_weight else {}
    restored = _of_restoration(logged) if settings.restoration_weight else {}
    return compared | restored


def _of_comparison(
    logged: Mapping[str, list], num_levels: int, settings: PCRLv2Settings
) -> dict[str, str]:
    last = {name: values[-1] for name, values in logged.items() if values}
    batch_size, found = settings.batch_size, {}

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
    return found


def _of_restoration(logged: Mapping[str, list]) -> dict[str, str]:
    error = logged[f"val_{RESTORATION_ERROR}"][-1]
    num_epochs = len(logged["val_restoration"])
    if num_epochs <= FIRST_EPOCH_OF_RESTORATION or not math.isfinite(error) or error <= STUCK_ABOVE:
        return {}
    return {
        "stuck at the mean": f"after {num_epochs} epochs the restoration error is {error:.2f} of "
        f'the images\' variance: hardly better than restoring the mean. A higher "initial_lr", '
        f'weaker corruption ("swapped_part", "noise_std", "blur_sigma") or more epochs may help.'
    }
