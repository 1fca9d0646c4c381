"""What a pretraining shows besides its log: the probe, progress.png, pictures.png, a report.

Works in the first process only, talks to no other one, and leaves network and random state alone.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from nnunetv2_pcrl.monitoring.charts import plots
from nnunetv2_pcrl.monitoring.examples import (
    Example,
    channel_groups,
    draw_examples,
    number_of_examples,
    panel_rows,
    rows_of,
)
from nnunetv2_pcrl.monitoring.guard import Guard
from nnunetv2_pcrl.monitoring.pace import Pace
from nnunetv2_pcrl.monitoring.panels import PanelRow, write_panels
from nnunetv2_pcrl.monitoring.pictures_figure import PICTURES_NAME, draw_pictures
from nnunetv2_pcrl.monitoring.probe import Backbone, ProbeScore, probe
from nnunetv2_pcrl.monitoring.probe_crops import (
    PROBE_SEED,
    LabelledCrop,
    draw_both,
    num_cases_of,
)
from nnunetv2_pcrl.monitoring.progress_figure import draw_progress
from nnunetv2_pcrl.monitoring.record import write_record
from nnunetv2_pcrl.monitoring.vocabulary import Pictures, Shown
from nnunetv2_pcrl.views.channels import Channels
from nnunetv2_pcrl.views.drawn import Drawn, Recipe

# Part of the time that either kind of picture may take; the last ones are always drawn.
SHARE_OF_PICTURES = 0.005
EXPECTED_PROGRESS_S, EXPECTED_PICTURES_S = 0.5, 2.0


class MonitoringSettings(Protocol):
    """What a run's settings say of its monitoring.

    Attributes:
        seed: of the run.
        num_epochs: planned.
        pictures_every: epochs between pictures at least; 0 for none.
        probe_every: epochs between probes; 0 for none, so that no label is read.
    """

    seed: int
    num_epochs: int
    pictures_every: int
    probe_every: int


class WatchedMethod(Protocol):
    """What is asked of a method for its pictures."""

    def recipe(self) -> Recipe:
        """How views are drawn from an image."""

    def pictures(
        self, network: nn.Module, drawn: Drawn, views: Mapping[str, Tensor]
    ) -> Pictures | None:
        """Pictures of what one image's views teach; None for none."""


@dataclass(frozen=True)
class MonitoredRun:
    """What is watched.

    Attributes:
        output_folder: where pictures and record go.
        data_folder: preprocessed data of the configuration.
        training_cases, validation_cases: usable ones.
        settings: of the run.
        method: that is trained.
        shown: what it shows.
        patch_size: planned, in voxels; crops of the probe have this size.
        spacing: of the images in mm, per axis of the patch.
        total_stride: of the network, per axis.
        transpose: transpose_forward of the plans.
        channels: names of the image's channels.
        measured: what they hold.
        classes: names of the label values, background (0) included; empty without labels.
        network: on `device`; its module `backbone` gives a feature pyramid.
        autocast: context of forward passes.
        guard: keeps failures away from the training.
        record: what the report says besides what is measured here.
    """

    output_folder: Path
    data_folder: Path
    training_cases: Sequence[str]
    validation_cases: Sequence[str]
    settings: MonitoringSettings
    method: WatchedMethod
    shown: Shown
    patch_size: Sequence[int]
    spacing: Sequence[float]
    total_stride: Sequence[int]
    transpose: Sequence[int]
    channels: Sequence[str]
    measured: Channels
    classes: Mapping[int, str]
    network: nn.Module
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
        self._pace_of_pictures = Pace(SHARE_OF_PICTURES, EXPECTED_PICTURES_S)
        self._groups = channel_groups(run.channels)
        self._examples: list[Example] | None = None
        self._crops: tuple[list[LabelledCrop], list[LabelledCrop]] | None = None
        earlier = earlier or {}
        kept = {name: earlier[name] for name in ("probe", "warnings") if name in earlier}
        self._record = {"warnings": {}, **run.record, "shown": run.shown.as_plain(), **kept}

    @contextmanager
    def _watched(self, what: str) -> Iterator[None]:
        """Guards the body and counts its time."""
        begin = time.monotonic()
        modes = [(module, module.training) for module in self._run.network.modules()]
        with self._run.guard(what):
            self._run.network.eval()
            yield
        for module, is_training in modes:
            # One by one: a teacher may be in evaluation mode for good.
            module.training = is_training
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
            if not (fitting and scoring):
                raise ValueError(
                    "too few cases hold a label (or are as large as the network needs): of those "
                    f"that were looked at {num_cases_of(fitting)} to fit it to, and "
                    f"{num_cases_of(scoring)} others to score it on"
                )
            score = probe(
                cast(Backbone, run.network.backbone),
                fitting,
                scoring,
                len(run.classes),
                run.device,
                run.autocast,
            )
        return score

    def _draw_crops(self) -> tuple[list[LabelledCrop], list[LabelledCrop]]:
        run = self._run
        index = {value: number for number, value in enumerate(run.classes)}
        fitting, scoring = draw_both(
            run.data_folder,
            run.training_cases,
            run.validation_cases,
            index,
            run.patch_size,
            run.total_stride,
            PROBE_SEED,
        )
        self._record.setdefault("probe", {}).update(
            classes=[name for value, name in run.classes.items() if value != 0],
            fitted=num_cases_of(fitting),
            scored=num_cases_of(scoring),
        )
        return fitting, scoring

    # Pictures and record

    def after_epoch(self, logged: Mapping[str, list], warnings: Mapping[str, str]) -> None:
        """Draws what is due, everything after the last epoch, and writes the record.

        Args:
            logged: lists with one value per epoch, by name.
            warnings: texts by kind; empty texts are left out.
        """
        settings = self._run.settings
        done = len(logged["epoch_end_timestamps"])
        is_last = done == settings.num_epochs
        if is_last or self._pace_of_progress.is_due():
            with self._watched("progress.png"), self._pace_of_progress.measured():
                self._draw_progress(logged, done)
        every = settings.pictures_every
        is_due = every and (done - 1) % every == 0 and self._pace_of_pictures.is_due()
        if is_due or (every and is_last):
            with self._watched(PICTURES_NAME), self._pace_of_pictures.measured():
                self._draw_pictures(done)
        with self._watched("monitoring.json"):
            share = self._seconds / max(time.monotonic() - self._began, 1e-9)
            self._record.update(
                logged=logged,
                warnings={kind: text for kind, text in warnings.items() if text},
                monitoring_cost=f"{self._seconds:.1f} s, {100 * share:.1f} % of the time",
            )
            write_record(self._run.output_folder, self._record)

    def _draw_progress(self, logged: Mapping[str, list], done: int) -> None:
        run = self._run
        draw_progress(
            plots(logged, run.shown),
            run.output_folder / "progress.png",
            f"{self._record['run']['trainer']} on {self._record['run']['data set']}: "
            f"{done} of {run.settings.num_epochs} epochs",
        )

    def _draw_pictures(self, done: int) -> None:
        run = self._run
        if self._examples is None:
            num_planes = 1 if len(run.patch_size) == 2 else 3
            self._examples = draw_examples(
                run.data_folder,
                run.validation_cases,
                run.method.recipe(),
                run.measured,
                run.transpose,
                run.settings.seed,
                number_of_examples(num_planes, self._groups),
            )
        rows = [
            row
            for number, example in enumerate(self._examples)
            for row in self._rows(number, example)
        ]
        if rows:
            write_panels(run.output_folder, rows, done)
            draw_pictures(rows, done, run.output_folder / PICTURES_NAME)

    def _rows(self, number: int, example: Example) -> list[PanelRow]:
        run = self._run
        views = {name: made[:, None].to(run.device) for name, made in example.views.items()}
        with torch.no_grad(), run.autocast():
            pictures = run.method.pictures(run.network, example.drawn, views)
        if pictures is None:
            return []
        rows = rows_of(number, len(example.planes), self._groups)
        return panel_rows(example, pictures, run.spacing, run.channels, rows)
