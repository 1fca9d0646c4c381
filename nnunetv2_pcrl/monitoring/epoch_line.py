"""One line of the log per epoch."""

import math
from collections.abc import Mapping

from nnunetv2_pcrl.monitoring.cards import number_of
from nnunetv2_pcrl.monitoring.charts import PROBE, epoch_seconds
from nnunetv2_pcrl.monitoring.vocabulary import Shown


def epoch_line(logged: Mapping[str, list], shown: Shown, num_epochs: int) -> str:
    """The last epoch in a line: losses, terms, state of the representation, speed, time left.

    Args:
        logged: lists with one value per epoch, by name.
        shown: of the run.
        num_epochs: planned epochs.
    """
    last = {name: values[-1] for name, values in logged.items() if values}
    of_last_epoch = {name: [value] for name, value in last.items()}
    done = len(logged["epoch_end_timestamps"])

    def loss(phase: str) -> str:
        terms = ", ".join(
            f"{series.short} {last[f'{phase}_{series.name}']:.4f}"
            for series in shown.series
            if series.short and phase in series.phases
        )
        return f"{phase}_loss {last[f'{phase}_losses']:.4f}" + (f" ({terms})" if terms else "")

    numbers = [number_of(card, of_last_epoch) for card in shown.cards if card.short]
    state = [f"{number.card.short} {number.text}" for number in numbers if number is not None]
    if math.isfinite(last[PROBE]):
        state.append(f"probe {last[PROBE]:.4f}")
    durations = epoch_seconds(logged)
    left = (num_epochs - done) * sum(durations[-3:]) / len(durations[-3:])
    time = [
        f"{last['images_per_second']:.2f} images/s",
        f"waiting for views {100 * last['data_wait_share']:.0f} %",
        f"{durations[-1]:.1f} s",
        f"{hours_and_minutes(left)} left",
    ]
    parts = [f"epoch {done}/{num_epochs}: {loss('train')}", loss("val"), ", ".join(state)]
    return " | ".join(part for part in (*parts, ", ".join(time)) if part)


def hours_and_minutes(seconds: float) -> str:
    """E.g. "2 h 05 min", "5 min" or "< 1 min"."""
    minutes = math.ceil(seconds / 60)
    if seconds < 60:
        return "0 min" if seconds <= 0 else "< 1 min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
