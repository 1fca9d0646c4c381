"""What a PCRLv2 pretraining shows of itself: logged numbers, charts, warnings, restorations."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from nnunetv2_pcrl.methods.pcrlv2.network import PCRLv2Network
from nnunetv2_pcrl.methods.pcrlv2.settings import SMALL_COMPARISON_BATCH, PCRLv2Settings
from nnunetv2_pcrl.monitoring import checks
from nnunetv2_pcrl.monitoring.telling_apart import RANK, TellingApart, Words
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
Z_STD = "z_std"
WORDS = Words(
    finders="local views that find their image",
    found="Share of the small views whose most similar image of the batch is their own.",
)
# Of the validation only: of every level and of the full restoration, in units of the variance.
RESTORATION_ERROR = "restoration_error"
BETA = "level_restoration_weight"


def state_of(num_levels: int, settings: PCRLv2Settings) -> TellingApart:
    """What is shown of the embeddings, which every level has."""
    return TellingApart(
        num_levels,
        candidates=settings.batch_size,
        by_level=True,
        words=WORDS,
        spread_phases=("train", "val"),
    )


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
    levels, state = range(num_levels), state_of(num_levels, settings)
    restores, compares = bool(settings.restoration_weight), bool(settings.comparison_weight)
    series = (
        *(Series(name, short=short, is_term=restores) for name, short in RESTORATIONS.items()),
        *(Series(name, short=short, is_term=compares) for name, short in COMPARISONS.items()),
        Series("target_variance"),
        *(Series(of_level(Z_STD, level)) for level in levels),
        *state.series,
        *(Series(name, ("val",)) for name in restoration_error_names(num_levels)),
        Series(BETA, ()),
    )
    schedules = (LEARNING_RATE, Line(BETA, "beta", 1, "dashed")) if restores else (LEARNING_RATE,)
    restoration, comparison = _restoration_charts(num_levels), _comparison_chart()
    charts = (
        *(restoration[:1] if restores else ()),
        *(comparison if compares else ()),
        *(restoration[1:] if restores else ()),
        _z_std_chart(num_levels),
        *state.charts,
    )
    loss = "Restoration errors and comparisons, each with its weight."
    if restores:
        loss += " The validation takes beta = 1, so that its epochs can be compared."
    cards = (*((ERROR_CARD,) if restores else ()), _z_std_card(num_levels), *state.cards)
    return Shown(series, charts, cards, schedules, loss)


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
            text="Squared difference of the restored and the clean view, in units of the data "
            "set's variance. The dotted line is what restoring each view's mean would cost: "
            "curves should fall well below it.",
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


def _z_std_chart(num_levels: int) -> Chart:
    return Chart(
        "z_std (1: healthy, 0: collapse)",
        of_every_level(f"val_{Z_STD}", num_levels),
        from_zero=True,
        levels=True,
        text="How much embeddings differ between images. Near 0 every image has the same one, and "
        "nothing is learned.",
        axis="z_std",
    )


ERROR_CARD = Card(
    "restoration error / variance",
    (f"val_{RESTORATION_ERROR}",),
    text="1: as good as restoring the mean; 0: perfect.",
    short="restoration error",
)


def _z_std_card(num_levels: int) -> Card:
    return Card(
        "lowest z_std of the levels",
        tuple(of_level(f"val_{Z_STD}", level) for level in range(num_levels)),
        "min",
        text="1: healthy; 0: all images have the same embedding.",
        short="z_std at least",
    )


def warnings(
    logged: Mapping[str, list[float]], num_levels: int, settings: PCRLv2Settings
) -> dict[str, str]:
    """What is wrong after the last epoch with what the loss trains.

    Args:
        logged: lists with one value per epoch, by name.
        num_levels: levels of the pyramid.
        settings: of the run; what they leave out of the loss is not warned about.

    Returns:
        Texts, each with a remedy, by kind of warning; empty if all is well.
    """
    found: dict[str, str] = {}
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
    logged: Mapping[str, list[float]], num_levels: int, settings: PCRLv2Settings
) -> dict[str, str]:
    state, batch_size = state_of(num_levels, settings), settings.batch_size
    remedy = 'A larger "batch_size" or a lower "initial_lr" in the plans may help'
    agreement = checks.Watched("val_global_comparison", "the comparison", -0.5)
    narrow = f"{remedy}; so do more different images."
    return {
        **state.warnings(logged, f"{remedy}."),
        **checks.narrow(logged, state.logged_as(RANK), batch_size, narrow),
        **small_batch_warning(settings),
        **checks.plateau(logged, agreement, settings.num_epochs, f"{remedy}."),
    }


def _of_restoration(logged: Mapping[str, list[float]], settings: PCRLv2Settings) -> dict[str, str]:
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
        F.interpolate(
            network.restoration.in_intensities(r.float()),
            size=size,
            mode=mode,
            align_corners=False,
        )
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
