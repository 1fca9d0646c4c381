"""What a pretraining shows besides its log: the probe, progress.png, restorations.png, a report.

Works in the first process only, talks to no other one, and leaves network and random state alone.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from nnunetv2_pcrl.methods.pcrlv2.network import PCRLv2Network
from nnunetv2_pcrl.methods.pcrlv2.settings import PCRLv2Settings
from nnunetv2_pcrl.monitoring.charts import pretraining_charts
from nnunetv2_pcrl.monitoring.examples import (
    Example,
    draw_examples,
    number_of_examples,
    panel_rows,
    restore,
)
from nnunetv2_pcrl.monitoring.guard import Guard
from nnunetv2_pcrl.monitoring.pace import Pace
from nnunetv2_pcrl.monitoring.panels import write_panels
from nnunetv2_pcrl.monitoring.probe import ProbeScore, probe
from nnunetv2_pcrl.monitoring.probe_crops import LabelledCrop, draw_crops, split_cases
from nnunetv2_pcrl.monitoring.progress_figure import draw_progress
from nnunetv2_pcrl.monitoring.record import write_record
from nnunetv2_pcrl.monitoring.restoration_figure import draw_restorations

# Part of the time that either kind of picture may take; the last ones are always drawn.
SHARE_OF_PICTURES = 0.005
EXPECTED_PROGRESS_S, EXPECTED_RESTORATIONS_S = 0.5, 2.0


@dataclass(frozen=True)
class MonitoredRun:
    """What is watched.

    Attributes:
        output_folder: where pictures and record go.
        data_folder: preprocessed data of the configuration.
        training_cases, validation_cases: usable ones.
        settings: of the run.
        total_stride: of the network, per axis.
        channels: names of the image's channels.
        classes: names of the label values, background (0) included; empty without labels.
        network: backbone and heads, on `device`.
        autocast: context of forward passes.
        guard: keeps failures away from the training.
        record: what the report says besides what is measured here.
    """

    output_folder: Path
    data_folder: Path
    training_cases: Sequence[str]
    validation_cases: Sequence[str]
    settings: PCRLv2Settings
    total_stride: Sequence[int]
    channels: Sequence[str]
    classes: Mapping[int, str]
    network: PCRLv2Network
    device: torch.device
    autocast: Callable[[], AbstractContextManager]
    guard: Guard
    record: dict[str, Any] = field(default_factory=dict)


class PretrainingMonitor:
    """Draws and measures; every method is safe to call and raises nothing."""

    def __init__(self, run: MonitoredRun, earlier: Mapping[str, Any] | None = None):
        """Reads nothing yet.

        Args:
            run: what is watched.
            earlier: record of the run that is resumed.
        """
        self._run = run
        self._seconds = 0.0
        self._began = time.monotonic()
        self._pace_of_progress = Pace(SHARE_OF_PICTURES, EXPECTED_PROGRESS_S)
        self._pace_of_restorations = Pace(SHARE_OF_PICTURES, EXPECTED_RESTORATIONS_S)
        self._examples: list[Example] | None = None
        self._crops: tuple[list[LabelledCrop], list[LabelledCrop]] | None = None
        kept = {name: earlier[name] for name in ("probe", "warnings") if name in (earlier or {})}
        self._record = {"warnings": [], **run.record, **kept}

    @contextmanager
    def _watched(self, what: str) -> Iterator[None]:
        """Guards the body and counts its time."""
        begin = time.monotonic()
        was_training = self._run.network.training
        with self._run.guard(what):
            self._run.network.eval()
            yield
        self._run.network.train(was_training)
        self._seconds += time.monotonic() - begin

    # The probe

    def probe_before_training(self) -> ProbeScore | None:
        """The probe of the network as it was initialised, to compare later ones with."""
        score = self.probe(0)
        if score is not None:
            self._record["probe"]["before_training"] = score.mean
        return score

    def probe(self, epoch: int) -> ProbeScore | None:
        """The probe after this epoch, if it is one of a probe and there are labels."""
        run, score = self._run, None
        every = run.settings.probe_every
        is_last = epoch == run.settings.num_epochs - 1
        if not every or not run.classes or not (epoch % every == 0 or is_last):
            return None
        with self._watched("the probe"):
            if self._crops is None:
                self._crops = self._draw_crops()
            fitting, scoring = self._crops
            if fitting and scoring:
                score = probe(
                    run.network.backbone,
                    fitting,
                    scoring,
                    len(run.classes),
                    run.device,
                    run.autocast,
                )
        return score

    def _draw_crops(self) -> tuple[list[LabelledCrop], list[LabelledCrop]]:
        run = self._run
        settings = run.settings
        parts = split_cases(run.training_cases, run.validation_cases, settings.seed)
        index = {value: number for number, value in enumerate(run.classes)}
        fitting, scoring = (
            draw_crops(
                run.data_folder,
                cases,
                index,
                settings.global_size,
                run.total_stride,
                settings.seed,
            )
            for cases in parts
        )
        self._record.setdefault("probe", {}).update(
            classes=[name for value, name in run.classes.items() if value != 0],
            fitted=len(parts[0]),
            scored=len(parts[1]),
        )
        return fitting, scoring

    # Pictures and record

    def after_epoch(self, logged: Mapping[str, list], warnings: Mapping[str, str]) -> None:
        """Draws what is due, everything after the last epoch, and writes the record."""
        settings = self._run.settings
        done = len(logged["epoch_end_timestamps"])
        is_last = done == settings.num_epochs
        if is_last or self._pace_of_progress.is_due():
            with self._watched("progress.png"), self._pace_of_progress.measured():
                self._draw_progress(logged, done)
        # Heads that are not trained restore nothing.
        every = settings.restorations_every if settings.restoration_weight else 0
        is_due = every and (done - 1) % every == 0 and self._pace_of_restorations.is_due()
        if is_due or (every and is_last):
            with self._watched("restorations.png"), self._pace_of_restorations.measured():
                self._draw_restorations(done)
        with self._watched("monitoring.json"):
            share = self._seconds / max(time.monotonic() - self._began, 1e-9)
            self._record.update(
                logged=logged,
                warnings=[text for text in warnings.values() if text],
                monitoring_cost=f"{self._seconds:.1f} s, {100 * share:.1f} % of the time",
            )
            write_record(self._run.output_folder, self._record)

    def _draw_progress(self, logged: Mapping[str, list], done: int) -> None:
        run = self._run
        draw_progress(
            pretraining_charts(logged, run.network.num_levels, run.settings.as_plain()),
            run.output_folder / "progress.png",
            f"{self._record['run']['trainer']} on {self._record['run']['data set']}: "
            f"{done} of {run.settings.num_epochs} epochs",
        )

    def _draw_restorations(self, done: int) -> None:
        run = self._run
        if self._examples is None:
            count = number_of_examples(len(run.channels), len(run.settings.global_size))
            self._examples = draw_examples(
                run.data_folder, run.validation_cases, run.settings, run.settings.seed, count
            )
        rows = [
            row
            for example in self._examples
            for row in panel_rows(
                example,
                restore(run.network, example, run.device, run.autocast),
                run.settings,
                run.channels,
            )
        ]
        if rows:
            write_panels(run.output_folder, rows, done)
            draw_restorations(rows, done, run.output_folder / "restorations.png")
