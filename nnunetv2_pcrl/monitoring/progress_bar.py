"""The progress bar of an epoch, for people at a terminal."""

import time
from collections.abc import Mapping, Sequence

from tqdm import tqdm

from nnunetv2_pcrl.monitoring.vocabulary import Series

# Numbers that every step has; an empty name is not shown.
OF_EVERY_STEP = {"loss": "loss", "gradient_norm": ""}


class EpochBar:
    """Steps done, images per second, time left, means of the loss terms, share of waiting.

    There is none where stderr is no terminal, as in logs of a cluster.
    """

    def __init__(
        self,
        title: str,
        num_steps: int,
        num_images: int,
        is_wanted: bool,
        series: Sequence[Series] = (),
    ):
        """Draws an empty bar.

        Args:
            title: e.g. "Epoch 3/240".
            num_steps: of the epoch, those that a resumed run has behind it left out.
            num_images: per step.
            is_wanted: false for all but the first process.
            series: that are logged; those without a short name are not shown, and what is no
                series is shown under its own name.
        """
        self._short = OF_EVERY_STEP | {one.name: one.short for one in series}
        self._num_images = num_images
        self._sums: dict[str, float] = {}
        self._num_finite = 0
        self._began = time.perf_counter()
        self._bar = tqdm(
            total=num_steps * num_images,
            desc=title,
            unit="image",
            # None: only if stderr is a terminal.
            disable=None if is_wanted else True,
            leave=False,
            dynamic_ncols=True,
        )

    def step(self, numbers: Mapping[str, float], seconds_waited: float) -> None:
        """One more step.

        Args:
            numbers: of the step by log name; none if it was skipped.
            seconds_waited: for data, in this epoch so far.
        """
        if self._bar.disable:
            return
        self._num_finite += bool(numbers)
        for name, value in numbers.items():
            if short := self._short.get(name, name):
                self._sums[short] = self._sums.get(short, 0.0) + value
        means = [f"{name} {total / self._num_finite:.3f}" for name, total in self._sums.items()]
        share = seconds_waited / max(time.perf_counter() - self._began, 1e-9)
        self._bar.set_postfix_str(
            ", ".join([*means, f"waiting {100 * min(1.0, share):.0f} %"]), refresh=False
        )
        self._bar.update(self._num_images)

    def close(self) -> None:
        """Removes the bar."""
        self._bar.close()
