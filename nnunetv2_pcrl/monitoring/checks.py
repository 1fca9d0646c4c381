"""What can go wrong in a training, each with a remedy: checks that a method composes.

Every check takes lists with one value per epoch, by name, looks at the last epoch, and gives texts
by kind of warning; none if all is well.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from nnunetv2_pcrl.monitoring.charts import Logged, finished, last_finite

Found = dict[str, str]

# Below the rounding error of half precision, differences between images are noise.
COLLAPSE_BELOW = 1e-3
# Fewer directions than this tell hardly more than one property of an image.
LEAST_EFFECTIVE_RANK = 2.0
# From this epoch on, a restoration that is no better than the view's own mean is stuck.
FIRST_EPOCH_OF_RESTORATION = 5
STUCK_ABOVE, WORSE_ABOVE = 0.95, 1.05
# From this epoch on, views should find their image more often than by chance.
FIRST_EPOCH_OF_COMPARISON = 10
CHANCE_BELOW = 1.5
# Shortest stretch of epochs that is called a plateau, and the fall that ends one.
LEAST_PLATEAU, LEAST_FALL = 5, 0.005
# With less of its first learning rate a training is at its end, where all curves are flat.
LEAST_RATE = 0.3
NEAR_CONSTANT = 0.02
# A loss that falls by this share through one term alone is driven by it.
DRIVEN_BY_ONE, FIRST_EPOCH_OF_DRIVE = 0.98, 10
WAITING_ABOVE = 0.33


def collapse(logged: Logged, spreads: Sequence[str], remedy: str) -> Found:
    """Features that hardly differ between images.

    Args:
        logged: one value per epoch.
        spreads: log names of the feature spread of every level, low to high resolution.
        remedy: what may help.
    """
    levels = _below(logged, spreads, COLLAPSE_BELOW)
    if not levels:
        return {}
    return {
        "collapse": f"the representation has collapsed at level {levels}: images differ by less "
        f"than {COLLAPSE_BELOW} of the features' size. {remedy}"
    }


def narrow(logged: Logged, ranks: Sequence[str], batch_size: int, remedy: str) -> Found:
    """Embeddings that use too few directions.

    Args:
        logged: one value per epoch.
        ranks: log names of the effective rank of every level, low to high resolution.
        batch_size: images that the rank was measured on: it is below their number.
        remedy: what may help.
    """
    levels = _below(logged, ranks, LEAST_EFFECTIVE_RANK)
    if not levels or batch_size <= LEAST_EFFECTIVE_RANK + 1:
        return {}
    return {
        "narrow": f"the embeddings of level {levels} use fewer than {LEAST_EFFECTIVE_RANK:.0f} "
        f"directions. {remedy}"
    }


def small_batch(batch_size: int, least: int, remedy: str) -> Found:
    """Too few images for batch normalisation in the heads of a comparison."""
    if batch_size >= least:
        return {}
    return {
        "small batch": f"with a comparison batch of {batch_size} the batch normalisation of the "
        f"heads says little about the images; below {least} the comparison hardly teaches "
        f"anything. {remedy}"
    }


def stuck_at_the_mean(logged: Logged, error: str, remedy: str) -> Found:
    """A restoration that is no better than the mean of the view, or worse.

    Args:
        logged: one value per epoch.
        error: log name of the squared error in units of the image's variance.
        remedy: what may help.
    """
    values = finished(logged, error)
    value = values[-1] if values else math.nan
    if len(values) <= FIRST_EPOCH_OF_RESTORATION or not value > STUCK_ABOVE:
        return {}
    text = (
        f"after {len(values)} epochs the restoration error is {value:.2f} of the images' variance"
    )
    if value > WORSE_ABOVE:
        return {"worse than the mean": f"{text}: worse than restoring the mean. {remedy}"}
    return {"stuck at the mean": f"{text}: hardly better than restoring the mean. {remedy}"}


def comparison_at_chance(
    logged: Logged, retrievals: Sequence[str], batch_size: int, remedy: str
) -> Found:
    """Views that find their image no more often than by chance, at every level.

    Args:
        logged: one value per epoch.
        retrievals: log names of the share of views that find their image, of every level.
        batch_size: images among which one is to be found.
        remedy: what may help.
    """
    # Of several epochs, as one validation has few views.
    recent = [finished(logged, name)[-LEAST_PLATEAU:] for name in retrievals]
    found = [fmean(values) for values in recent if all(map(math.isfinite, values))]
    epochs = len(logged["epoch_end_timestamps"])
    if not found or epochs < FIRST_EPOCH_OF_COMPARISON or max(found) >= CHANCE_BELOW / batch_size:
        return {}
    return {
        "comparison at chance": f"after {epochs} epochs {100 * max(found):.0f} % of the views find "
        f"their image among {batch_size}, where chance gives {100 / batch_size:.0f} %. {remedy}"
    }


@dataclass(frozen=True)
class Watched:
    """A term that should fall.

    Attributes:
        name: in the log.
        label: for a person.
        settled: at or below this value it has taught what it can, and may stay.
        constant: the value that it takes where all images look alike to the network, if known.
    """

    name: str
    label: str
    settled: float
    constant: float | None = None


def plateau(logged: Logged, watched: Watched, num_epochs: int, remedy: str) -> Found:
    """A term that has not fallen for a third of the run, or that shows a constant answer.

    The end of a schedule, where every curve is flat, is no plateau.

    Args:
        logged: one value per epoch.
        watched: the term.
        num_epochs: planned.
        remedy: what may help.
    """
    values = [v for v in finished(logged, watched.name) if math.isfinite(v)]
    window = max(LEAST_PLATEAU, math.ceil(num_epochs / 3))
    rates = [v for v in finished(logged, "lrs") if math.isfinite(v)]
    is_ending = bool(rates) and rates[-1] < LEAST_RATE * max(rates)
    if len(values) < LEAST_PLATEAU or is_ending or values[-1] <= watched.settled:
        return {}
    kind = f"{watched.label} on a plateau"
    recent = median(values[-LEAST_PLATEAU:])
    constant = watched.constant
    if (
        constant is not None
        and len(values) >= FIRST_EPOCH_OF_COMPARISON
        and abs(recent - constant) <= NEAR_CONSTANT * max(1.0, abs(constant))
    ):
        return {
            kind: f"{watched.label} is at {recent:.3f}, the value of one constant answer "
            f"({constant:.3f}): all images look alike to it. {remedy}"
        }
    if len(values) < window:
        return {}
    half = max(2, window // 2)
    earlier, later = median(values[-window:-half]), median(values[-half:])
    if earlier - later > LEAST_FALL * abs(earlier):
        return {}
    return {
        kind: f"{watched.label} has not fallen for {window} epochs, a third of the run (it is "
        f"{later:.4g}). {remedy}"
    }


def one_term_drives_all(logged: Logged, weights: Mapping[str, float], remedy: str) -> Found:
    """A loss that falls through one of its terms alone, while another one rises or stays.

    Args:
        logged: one value per epoch.
        weights: in the loss, of each term by its log name.
        remedy: what may help.
    """
    falls = {}
    for name, weight in weights.items():
        values = [v for v in finished(logged, name) if math.isfinite(v)]
        if weight and len(values) >= FIRST_EPOCH_OF_DRIVE:
            falls[name] = weight * (values[0] - median(values[-3:]))
    fallen = {name: fall for name, fall in falls.items() if fall > 0}
    if len(falls) < 2 or not fallen:
        return {}
    most = max(fallen, key=fallen.__getitem__)
    if fallen[most] < DRIVEN_BY_ONE * sum(fallen.values()):
        return {}
    still = ", ".join(_words(name) for name in falls if name != most)
    return {
        "one term drives all": f"the loss falls through {_words(most)} alone; {still} "
        f"{'has' if len(falls) == 2 else 'have'} not fallen. {remedy}"
    }


def of_every_training(logged: Logged) -> Found:
    """What may be wrong whatever is trained: no finite loss, or a device that waits for data."""
    found = {}
    losses, waits = finished(logged, "train_losses"), finished(logged, "data_wait_share")
    if losses and not math.isfinite(losses[-1]):
        found["no finite loss"] = (
            "no step of the last epoch had a finite loss. "
            'Lower "initial_lr" in the plans, or go back to an earlier checkpoint.'
        )
    # The first epoch waits for the workers to start.
    if len(waits) > 1 and min(waits[-2:]) > WAITING_ABOVE:
        found["waits for data"] = (
            f"{100 * waits[-1]:.0f} % of the time the device waits for views. Give more workers "
            f"(nnUNet_n_proc_DA), or put the preprocessed data on a faster disk."
        )
    return found


def _words(log_name: str) -> str:
    return log_name.removeprefix("train_").removeprefix("val_").replace("_", " ")


def _below(logged: Logged, names: Sequence[str], limit: float) -> str:
    """Numbers of the levels whose last value is below the limit, as text."""
    lasts = [last_finite(finished(logged, name)[-1:]) for name in names]
    return ", ".join(str(n) for n, value in enumerate(lasts) if value is not None and value < limit)
