"""One line of the log per epoch."""

import math
from collections.abc import Mapping

from nnunetv2_pcrl.monitoring.log_names import (
    PROBE,
    RESTORATION_ERROR,
    SHORT_NAMES,
    TERMS,
    of_level,
)


def epoch_line(logged: Mapping[str, list], num_levels: int, num_epochs: int) -> str:
    """The last epoch in a line: losses, terms, state of the representation, speed, time left.

    Args:
        logged: lists with one value per epoch, by name.
        num_levels: levels of the pyramid.
        num_epochs: planned epochs.
    """
    last = {name: values[-1] for name, values in logged.items() if values}
    done = len(logged["epoch_end_timestamps"])

    def terms(phase: str) -> str:
        return ", ".join(f"{SHORT_NAMES[term]} {last[f'{phase}_{term}']:.4f}" for term in TERMS)

    def every_level(name: str) -> list[float]:
        return [last[of_level(f"val_{name}", level)] for level in range(num_levels)]

    state = [
        f"restoration error {last[f'val_{RESTORATION_ERROR}']:.4f} of the variance",
        f"z_std at least {min(every_level('z_std')):.4f}",
        f"feature spread at least {min(every_level('feature_spread')):.4f}",
        f"retrieval at best {100 * max(every_level('retrieval')):.0f} %",
    ]
    if math.isfinite(last[PROBE]):
        state.append(f"probe {last[PROBE]:.4f}")
    durations = _durations(logged)
    left = (num_epochs - done) * sum(durations[-3:]) / len(durations[-3:])
    time = [
        f"{last['images_per_second']:.2f} images/s",
        f"waiting for views {100 * last['data_wait_share']:.0f} %",
        f"{durations[-1]:.1f} s",
        f"{hours_and_minutes(left)} left",
    ]
    return " | ".join(
        [
            f"epoch {done}/{num_epochs}: train_loss {last['train_losses']:.4f} ({terms('train')})",
            f"val_loss {last['val_losses']:.4f} ({terms('val')})",
            ", ".join(state),
            ", ".join(time),
        ]
    )


def _durations(logged: Mapping[str, list]) -> list[float]:
    """Seconds of every epoch."""
    starts, ends = logged["epoch_start_timestamps"], logged["epoch_end_timestamps"]
    return [end - start for start, end in zip(starts, ends, strict=False)]


def hours_and_minutes(seconds: float) -> str:
    """E.g. "2 h 05 min", "5 min" or "< 1 min"."""
    minutes = math.ceil(seconds / 60)
    if seconds < 60:
        return "0 min" if seconds <= 0 else "< 1 min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
