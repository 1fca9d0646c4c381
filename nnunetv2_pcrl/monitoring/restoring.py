"""What a training shows whose loss is a restored patch: error, charts, warnings."""

from torch import Tensor

from nnunetv2_pcrl.monitoring import checks
from nnunetv2_pcrl.monitoring.charts import Logged
from nnunetv2_pcrl.monitoring.vocabulary import Card, Chart, Line, Series, Shown, both_phases

# The term of the loss, what restoring each target's mean would cost, and the one by the other.
TERM, VARIANCE, RELATIVE = "restoration", "target_variance", "restoration_error"
# With half of the variance restored there is nothing to warn of.
_SETTLED = 0.5


def relative_error(means: dict[str, float]) -> dict[str, float]:
    """Means of an epoch with the error in units of the targets' variance besides."""
    if TERM not in means:
        return means
    return {**means, RELATIVE: means[TERM] / max(means[VARIANCE], 1e-12)}


def variance_of(target: Tensor) -> Tensor:
    """Mean variance of the channels of images [B, C, (D,) H, W]."""
    return target.flatten(2).var(dim=2, unbiased=False).mean()


def errors_by_channel(
    restored: Tensor, target: Tensor, mask: Tensor | None = None
) -> tuple[float, ...]:
    """Squared errors of the channels of one image in units of their variance.

    Args:
        restored, target: shape [1, C, (D,) H, W].
        mask: 1 where the error counts, shape [1, 1, (D,) H, W]; everywhere by default.
    """
    squared = (restored - target).square()
    if mask is None:
        error = squared.flatten(2).mean(dim=2)
    else:
        error = (squared * mask).flatten(2).sum(dim=2) / mask.sum()
    variance = target.flatten(2).var(dim=2, unbiased=False).clamp_min(1e-12)
    return tuple((error / variance)[0].tolist())


def shown(error: str, voxels: str, text: str, loss: str, more: tuple[Line, ...] = ()) -> Shown:
    """The error, squared and in units of the variance.

    Args:
        error: what it is called, e.g. "error of hidden voxels".
        voxels: whose error it is, for the legend.
        text: what a reader should know of the squared error, in sentences.
        loss: what a reader should know of the loss.
        more: what else costs that much, in the chart of the squared error.
    """
    return Shown(
        series=(
            Series(TERM, short=TERM, is_term=True),
            Series(VARIANCE),
            Series(RELATIVE, ("val",)),
        ),
        charts=(
            Chart(
                f"{error}, squared",
                (
                    *both_phases(TERM, voxels, 0),
                    Line(f"val_{VARIANCE}", "the patch's mean", -1, "dotted"),
                    *more,
                ),
                from_zero=True,
                text=text,
                axis="squared error",
            ),
            Chart(
                f"{error} / variance (1: the mean)",
                (Line(f"val_{RELATIVE}", "validation", 0),),
                from_zero=True,
                text="The same relative to the image's variance: 1 is as good as the mean, 0 is "
                "perfect.",
                axis="error / variance",
            ),
        ),
        cards=(
            Card(
                f"{error} / variance",
                (f"val_{RELATIVE}",),
                text="1: as good as restoring the mean; 0: perfect.",
                short="restoration error",
            ),
        ),
        loss=loss,
    )


def warnings(logged: Logged, num_epochs: int, remedy: str) -> checks.Found:
    """Restorations that are stuck at the mean, or that stopped to improve early."""
    error = f"val_{RELATIVE}"
    found = checks.stuck_at_the_mean(logged, error, remedy)
    watched = checks.Watched(error, "the restoration", _SETTLED)
    return found or checks.plateau(logged, watched, num_epochs, remedy)
