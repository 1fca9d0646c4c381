"""Names under which a PCRLv2 pretraining logs its numbers."""

from collections.abc import Sequence

TERMS = ("restoration", "level_restoration", "global_comparison", "local_comparison")
SHORT_NAMES = {
    "loss": "loss",
    "restoration": "restoration",
    "level_restoration": "level",
    "global_comparison": "global",
    "local_comparison": "local",
}
# Per level, of every step.
SPREADS = ("z_std", "feature_spread")
# Of the validation only: of the full restoration and of every level, in units of the variance.
RESTORATION_ERROR = "restoration_error"
# Per level, of the validation only.
STATE = ("cosine_matching", "cosine_other", "retrieval", "effective_rank")
PROBE = "probe_dice"


def of_level(name: str, level: int) -> str:
    """Log name of a number of one level, 0 = lowest resolution."""
    return f"{name}_level_{level}"


def of_levels(names: Sequence[str], num_levels: int) -> list[str]:
    """Log names of all levels."""
    return [of_level(name, level) for name in names for level in range(num_levels)]


def restoration_error_names(num_levels: int) -> list[str]:
    """The names of every level, low to high resolution, and that of the full restoration."""
    return [*of_levels([RESTORATION_ERROR], num_levels), RESTORATION_ERROR]


def logged_names(num_levels: int) -> list[str]:
    """Everything that is logged once per epoch besides what every trainer logs."""
    names = [*TERMS, "target_variance", *of_levels(SPREADS, num_levels)]
    state = [*of_levels(STATE, num_levels), *restoration_error_names(num_levels)]
    return [
        *(f"train_{name}" for name in names),
        *(f"val_{name}" for name in (*names, *state)),
        "level_restoration_weight",
        PROBE,
        f"{PROBE}_per_class",
    ]
