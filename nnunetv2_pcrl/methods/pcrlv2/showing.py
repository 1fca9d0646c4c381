"""What a PCRLv2 pretraining shows of itself: logged numbers, charts, warnings, restorations."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from nnunetv2_pcrl.methods.pcrlv2.network import PCRLv2Network
from nnunetv2_pcrl.methods.pcrlv2.settings import SMALL_COMPARISON_BATCH, PCRLv2Settings
from nnunetv2_pcrl.monitoring import checks
from nnunetv2_pcrl.monitoring.vocabulary import (
    LEARNING_RATE,
    Card,
    Chart,
    Column,
    Line,
    Pictures,
    Series,
    Shown,
    both_phases,
    of_every_level,
    of_level,
)
from nnunetv2_pcrl.views.boxes import Box

RESTORATIONS = {"restoration": "restoration", "level_restoration": "level"}
COMPARISONS = {"global_comparison": "global", "local_comparison": "local"}
# Of the first global view, per level, of every step.
SPREADS = ("z_std", "feature_spread")
# Per level, of the validation only: what `representation_numbers` measures.
STATE = ("cosine_matching", "cosine_other", "retrieval", "effective_rank")
# Of the validation only: of every level and of the full restoration, in units of the variance.
RESTORATION_ERROR = "restoration_error"
BETA = "level_restoration_weight"


def restoration_error_names(num_levels: int) -> list[str]:
    """The names of every level, low to high resolution, and that of the full restoration."""
    levels = (of_level(RESTORATION_ERROR, level) for level in range(num_levels))
    return [*levels, RESTORATION_ERROR]


def shown(num_levels: int, settings: PCRLv2Settings) -> Shown:
    """What is logged and how it is shown.

    Args:
        num_levels: levels of the pyramid.
        settings: of the run; terms without weight are logged, and no chart shows them.
    """
    levels = range(num_levels)
    restores, compares = bool(settings.restoration_weight), bool(settings.comparison_weight)
    series = (
        *(Series(name, short=short, is_term=restores) for name, short in RESTORATIONS.items()),
        *(Series(name, short=short, is_term=compares) for name, short in COMPARISONS.items()),
        Series("target_variance"),
        *(Series(of_level(name, level)) for name in SPREADS for level in levels),
        *(Series(of_level(name, level), ("val",)) for name in STATE for level in levels),
        *(Series(name, ("val",)) for name in restoration_error_names(num_levels)),
        Series(BETA, ()),
    )
    schedules = (LEARNING_RATE, Line(BETA, "beta", 1, "dashed")) if restores else (LEARNING_RATE,)
    restoration, comparison = _restoration_charts(num_levels), _comparison_chart()
    charts = (
        *(restoration[:1] if restores else ()),
        *(comparison if compares else ()),
        *(restoration[1:] if restores else ()),
        *_state_charts(num_levels, settings.batch_size),
    )
    loss = "Restoration errors and comparisons, each with its weight."
    if restores:
        loss += " The validation takes beta = 1, so that its epochs can be compared."
    return Shown(series, charts, _cards(num_levels, restores), schedules, loss)


def _restoration_charts(num_levels: int) -> tuple[Chart, Chart]:
    return (
        Chart(
            "restoration error, squared",
            (
                *both_phases("restoration", "full", 0),
                *both_phases("level_restoration", "drawn level", 1),
                Line("val_target_variance", "the view's mean", -1, "dotted"),
            ),
            from_zero=True,
            text="Squared difference of the restored and the clean view. The dotted line is what "
            "restoring each view's mean would cost: curves should fall well below it.",
            axis="squared error",
        ),
        Chart(
            "restoration error / variance (1: the mean)",
            (
                *of_every_level(f"val_{RESTORATION_ERROR}", num_levels),
                Line(f"val_{RESTORATION_ERROR}", "full", -1),
            ),
            from_zero=True,
            levels=True,
            text="The same relative to the image's variance, from every level of the decoder: 1 is "
            "as good as the mean, 0 is perfect. Low levels see less and stay higher.",
            axis="error / variance",
        ),
    )


def _comparison_chart() -> tuple[Chart]:
    return (
        Chart(
            "comparison (-1: views agree)",
            (
                *both_phases("global_comparison", "global", 0),
                *both_phases("local_comparison", "local", 1),
            ),
            text="Negative cosine of the embeddings of two views of one image: 0 is chance, -1 is "
            "full agreement. Agreement alone is no success: see z_std.",
            axis="negative cosine",
        ),
    )


def _state_charts(num_levels: int, batch_size: int) -> tuple[Chart, ...]:
    by_chance = Line("", "chance", -1, "dotted", constant=1 / batch_size)
    return (
        Chart(
            "z_std (1: healthy, 0: collapse)",
            of_every_level("val_z_std", num_levels),
            from_zero=True,
            levels=True,
            text="How much embeddings differ between images. Near 0 every image has the same one, "
            "and nothing is learned.",
            axis="z_std",
        ),
        Chart(
            "cosine: matching images, others dashed",
            (
                *of_every_level("val_cosine_matching", num_levels),
                *of_every_level("val_cosine_other", num_levels, "dashed", ", other"),
            ),
            levels=True,
            text="Similarity of two views of one image and of different images: the gap between "
            "solid and dashed is what tells images apart.",
            axis="cosine",
            compared="cosine of matching images, mean of the levels",
        ),
        Chart(
            "local views that find their image",
            (*of_every_level("val_retrieval", num_levels), by_chance),
            from_zero=True,
            levels=True,
            text="Share of the small views whose most similar image of the batch is their own.",
            axis="share",
        ),
        Chart(
            "effective rank of z",
            of_every_level("val_effective_rank", num_levels),
            from_zero=True,
            levels=True,
            text="How many directions the embeddings use; 1 or 2 tell hardly anything of an image.",
            axis="directions",
        ),
    )


def _cards(num_levels: int, restores: bool) -> tuple[Card, ...]:
    def levels(name: str) -> tuple[str, ...]:
        return tuple(of_level(f"val_{name}", level) for level in range(num_levels))

    error = Card(
        "restoration error / variance",
        (f"val_{RESTORATION_ERROR}",),
        text="1: as good as restoring the mean; 0: perfect.",
        short="restoration error",
    )
    return (
        *((error,) if restores else ()),
        Card(
            "lowest z_std of the levels",
            levels("z_std"),
            "min",
            text="1: healthy; 0: all images have the same embedding.",
            short="z_std at least",
        ),
        Card(
            "lowest feature spread of the levels",
            levels("feature_spread"),
            "min",
            text="How much features differ between images, relative to their size.",
            short="feature spread at least",
        ),
        Card(
            "retrieval, best level",
            levels("retrieval"),
            form=".0%",
            text="Small views that find their own image in the batch.",
            short="retrieval at best",
        ),
    )


def warnings(
    logged: Mapping[str, list], num_levels: int, settings: PCRLv2Settings
) -> dict[str, str]:
    """What is wrong after the last epoch with what the loss trains.

    Args:
        logged: lists with one value per epoch, by name.
        num_levels: levels of the pyramid.
        settings: of the run; what they leave out of the loss is not warned about.

    Returns:
        Texts, each with a remedy, by kind of warning; empty if all is well.
    """
    found = {}
    if settings.comparison_weight:
        found |= _of_comparison(logged, num_levels, settings)
    if settings.restoration_weight:
        found |= _of_restoration(logged, settings)
    weights = {
        "val_restoration": settings.restoration_weight,
        "val_global_comparison": settings.comparison_weight,
        "val_local_comparison": settings.comparison_weight,
    }
    remedy = 'Change "restoration_weight" or "comparison_weight" in the plans.'
    return found | checks.one_term_drives_all(logged, weights, remedy)


def small_batch_warning(settings: PCRLv2Settings) -> dict[str, str]:
    """What is wrong with a small comparison batch; known before the first epoch."""
    if not settings.comparison_weight:
        return {}
    remedy = 'Set "batch_size" in the plans: memory does not depend on it.'
    return checks.small_batch(settings.batch_size, SMALL_COMPARISON_BATCH, remedy)


def _of_comparison(
    logged: Mapping[str, list], num_levels: int, settings: PCRLv2Settings
) -> dict[str, str]:
    def levels(name: str) -> list[str]:
        return [of_level(f"val_{name}", level) for level in range(num_levels)]

    remedy = 'A larger "batch_size" or a lower "initial_lr" in the plans may help'
    agreement = checks.Watched("val_global_comparison", "the comparison", -0.5)
    batch_size = settings.batch_size
    return {
        **checks.collapse(logged, levels("feature_spread"), f"{remedy}."),
        **checks.narrow(
            logged, levels("effective_rank"), batch_size, f"{remedy}; so do more different images."
        ),
        **small_batch_warning(settings),
        **checks.comparison_at_chance(logged, levels("retrieval"), batch_size, f"{remedy}."),
        **checks.plateau(logged, agreement, settings.num_epochs, f"{remedy}."),
    }


def _of_restoration(logged: Mapping[str, list], settings: PCRLv2Settings) -> dict[str, str]:
    error = f"val_{RESTORATION_ERROR}"
    remedy = (
        'A higher "initial_lr", weaker corruption ("swapped_part", "noise_std", "blur_sigma") or '
        "more epochs may help."
    )
    found = checks.stuck_at_the_mean(logged, error, remedy)
    # One thing is said once.
    watched = checks.Watched(error, "the restoration", 0.5)
    return found or checks.plateau(logged, watched, settings.num_epochs, remedy)


@torch.no_grad()
def pictures(network: PCRLv2Network, box: Box, corrupted: Tensor, target: Tensor) -> Pictures:
    """Restorations of one view from every level, low to high resolution, and the full one.

    Args:
        network: in evaluation mode.
        box: where the view lies in the image.
        corrupted: the first global view, shape [1, C, (D,) H, W].
        target: the same, clean.
    """
    pyramid = network.backbone(corrupted)
    heads = zip(network.level_restorations, pyramid, strict=True)
    of_levels = [head(features) for head, features in heads]
    size = target.shape[2:]
    mode = "bilinear" if len(size) == 2 else "trilinear"
    full, *of_levels = (
        F.interpolate(r.float(), size=size, mode=mode, align_corners=False)
        for r in (network.restoration(pyramid[-1]), *of_levels)
    )

    def column(title: str, restored: Tensor) -> Column:
        axes = tuple(range(2, target.ndim))
        error = (restored - target).square().mean(dim=axes)
        variance = target.var(dim=axes, unbiased=False).clamp_min(1e-12)
        return Column(title, restored[0].cpu(), tuple((error / variance)[0].tolist()))

    return Pictures(
        box,
        (
            Column("input", corrupted[0].cpu()),
            Column("target", target[0].cpu()),
            column("restoration", full),
            *(column(f"from level {level}", one) for level, one in enumerate(of_levels)),
        ),
        (full - target)[0].abs().cpu(),
        window_of=1,
    )
