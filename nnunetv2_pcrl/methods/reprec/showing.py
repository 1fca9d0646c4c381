"""What RepRec-style pretraining shows of itself: numbers, charts, warnings, maps of tokens."""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from nnunetv2_pcrl.methods import image_contrast
from nnunetv2_pcrl.methods.reprec.network import RepRecNetwork, tokens_of
from nnunetv2_pcrl.methods.reprec.objective import representations
from nnunetv2_pcrl.methods.reprec.settings import RepRecSettings
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
)
from nnunetv2_pcrl.views.boxes import Box
from nnunetv2_pcrl.views.ranges import robust_range

# Of the tokens' variance: at or below, the recovery may stay where it is.
SETTLED_RECOVERY = 0.5
MOMENTUM = "teacher_momentum"


def summarised(means: dict[str, float], settings: RepRecSettings) -> dict[str, float]:
    """Adds contrast over ln(2N - 1), and the recovery in units of the tokens' variance."""
    found = dict(image_contrast.relative(means, settings))
    if "recovery" in means:
        found["recovery_error"] = means["recovery"] / max(means["token_variance"], 1e-12)
    return found


def shown(num_levels: int, settings: RepRecSettings) -> Shown:
    """What is logged and how it is shown."""
    state = image_contrast.state(settings, num_levels)
    return Shown(
        series=(
            *image_contrast.SERIES,
            Series("recovery", short="recovery", is_term=True),
            Series("token_variance"),
            Series("recovery_error", ("val",)),
            *state.series,
            Series(MOMENTUM, ()),
        ),
        charts=(
            image_contrast.chart(settings),
            Chart(
                "recovery of hidden tokens",
                (
                    *both_phases("recovery", "hidden tokens", 1),
                    Line("val_token_variance", "the view's mean token", -1, "dotted"),
                ),
                from_zero=True,
                text="Squared difference of recovered and true representations where blocks were "
                "hidden. The dotted line is what the mean token of each view would cost.",
                axis="squared error",
            ),
            *state.charts,
        ),
        cards=(
            image_contrast.CARD,
            Card(
                "error of hidden tokens / variance",
                ("val_recovery_error",),
                text="1: as good as the mean token of each view; 0: perfect.",
                short="recovery error",
            ),
            *state.cards,
        ),
        schedules=(LEARNING_RATE, Line(MOMENTUM, "teacher's momentum", 1, "dashed")),
        loss=f"The contrast in the first {100 * settings.contrastive_part:.0f} % of the training, "
        "then the recovery. The validation has both, so that its epochs can be compared.",
    )


def warnings(
    logged: Mapping[str, list[float]], num_levels: int, settings: RepRecSettings
) -> dict[str, str]:
    """What is wrong after the last epoch with the term that is trained at the time."""
    first = math.ceil(settings.contrastive_part * settings.num_epochs)
    if len(logged["epoch_end_timestamps"]) <= first:
        return image_contrast.warnings(logged, settings, num_levels, first)
    spreads = image_contrast.state(settings, num_levels).spreads
    remedy = 'Another "initial_lr" or a larger "batch_size" may help.'
    recovered = {name: values[first:] for name, values in logged.items()}
    lower = 'A lower "mask_ratio", another "initial_lr" or more epochs may help.'
    watched = checks.Watched("val_recovery_error", "the recovery", SETTLED_RECOVERY, constant=1.0)
    return {
        **checks.collapse(logged, spreads, remedy),
        **image_contrast.small_batch(settings),
        **checks.plateau(recovered, watched, settings.num_epochs - first, lower),
    }


@torch.no_grad()
def pictures(network: RepRecNetwork, box: Box, views: Mapping[str, Tensor]) -> Pictures:
    """A view's map of representations, true and recovered, along its main direction.

    Args:
        network: in evaluation mode.
        box: where the view lies in the image.
        views: of one image.
    """
    view, masked, hidden = views["views"][0], views["masked"][0], views["hidden"][0]
    grid, size = hidden.shape[2:], view.shape[2:]
    target = representations(network.teacher(view, 0)[0])
    recovered = network.predictor(network.backbone(masked, 0)[0], hidden).to(target.dtype)
    recovered = torch.where(tokens_of(hidden) > 0.5, recovered, target)
    centre = target.mean(dim=1, keepdim=True)
    # On the CPU: small matrices take long on a GPU.
    direction = torch.linalg.svd((target - centre)[0].double().cpu(), full_matrices=False)[2][0]
    along = direction.to(target)
    true, ours = ((tokens - centre) @ along for tokens in (target, recovered))

    low_of_view, high_of_view = robust_range(view[0])

    def as_image(values: Tensor) -> Tensor:
        """One value per token, over the view's range of values, in every channel."""
        low, high = true.min(), true.max()
        parts = (values - low) / (high - low).clamp_min(1e-12)
        image = F.interpolate(parts.view(1, 1, *grid), size=size, mode="nearest")[0]
        shape = (-1, *[1] * len(size))
        start, width = low_of_view.view(shape), (high_of_view - low_of_view).view(shape)
        return (start + image * width).cpu()

    true_map, our_map = as_image(true), as_image(ours)
    return Pictures(
        box,
        (
            Column("masked view", masked[0].cpu()),
            Column("view", view[0].cpu()),
            Column("representation", true_map),
            Column("hidden tokens recovered", our_map),
        ),
        (our_map - true_map).abs(),
        window_of=1,
        difference_title="|recovered - true|",
    )
