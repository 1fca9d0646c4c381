"""The pretraining of any method: what nnU-Net's trainer asks, answered by the method."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from torch import Tensor, nn

from nnunetv2_pcrl.methods.method import Method
from nnunetv2_pcrl.methods.registry import METHOD_SECTIONS
from nnunetv2_pcrl.methods.settings import PretrainingSettings, settings_of_word
from nnunetv2_pcrl.methods.variants import SEGMENTATION_STEPS, is_variant, settings_for
from nnunetv2_pcrl.monitoring.charts import PROBE, PROBE_PER_CLASS
from nnunetv2_pcrl.monitoring.checks import of_every_training
from nnunetv2_pcrl.monitoring.epoch_line import epoch_line
from nnunetv2_pcrl.monitoring.gradients import gradient_name, lost_sides, with_gradients
from nnunetv2_pcrl.monitoring.pretraining_monitor import PretrainingMonitor
from nnunetv2_pcrl.monitoring.record import RECORD_NAME, read_record
from nnunetv2_pcrl.monitoring.report import REPORT_NAME, write_report
from nnunetv2_pcrl.monitoring.runs import read_runs
from nnunetv2_pcrl.monitoring.vocabulary import Series, Shown
from nnunetv2_pcrl.networks.heads import set_units
from nnunetv2_pcrl.settings.base import check_names
from nnunetv2_pcrl.settings.plans_file import PRETRAINING, read_section
from nnunetv2_pcrl.training.gradient_cache import (
    Precision,
    accumulate_gradients,
    evaluate,
    weighted,
)
from nnunetv2_pcrl.training.gradient_norms import first_images, gradient_norms
from nnunetv2_pcrl.training.learner import StepLoss
from nnunetv2_pcrl.training.micro_batch import MicroBatch, couples_images, normalise_jointly
from nnunetv2_pcrl.training.monitored_run import monitored_run
from nnunetv2_pcrl.training.plan_facts import plan_facts
from nnunetv2_pcrl.training.portable_run import described, portable_weights
from nnunetv2_pcrl.training.ssl_trainer import SSLTrainer
from nnunetv2_pcrl.training.update import means
from nnunetv2_pcrl.views.channels import Channels, measure_channels
from nnunetv2_pcrl.views.drawn import Recipe
from nnunetv2_pcrl.views.seeding import seeded_generator


class PretrainTrainer(SSLTrainer):
    """Pretrains the planned network by a method, without labels.

    Attributes:
        method_class: the method; trainers by name have it, see `trainers.py`.
        words: of the trainer's name, behind the method's.
        method: with the settings of this run.
    """

    method_class: ClassVar[type[Method]]
    words: ClassVar[tuple[str, ...]] = ()
    # In the first process only.
    _monitor: PretrainingMonitor | None = None
    # What the last epoch was warned about.
    _warnings: Mapping[str, str] = {}

    @classmethod
    def named(cls, name: str, method: type[Method], words: tuple[str, ...]) -> type | None:
        """The trainer of a method and of variants; None if a word means nothing to the method.

        There is none either of two words for the same setting, as two lengths.
        """
        if not all(is_variant(method, word) for word in words):
            return None
        general = [name for word in words for name in settings_of_word(word) or ()]
        if len(set(general)) < len(general):
            return None
        return type(name, (cls,), {"method_class": method, "words": words})

    @classmethod
    def _method_for(
        cls, plans: PlansManager, configuration: ConfigurationManager, num_channels: int
    ) -> Method:
        """The method with the settings that follow from plan, plans file and trainer's name."""
        method = cls.method_class
        facts = plan_facts(plans, configuration, num_channels)
        sections = configuration.configuration
        common = read_section(sections, PRETRAINING, METHOD_SECTIONS)
        check_names(common, PretrainingSettings.names(), PRETRAINING)
        own = read_section(sections, method.about.section, METHOD_SECTIONS)
        return method(settings_for(method, facts, {**common, **own}, cls.words), facts)

    def derive_settings(self) -> PretrainingSettings:
        """Settings from the plan, the method's section of the plans file and the name's words."""
        num_channels = determine_num_input_channels(
            self.plans_manager, self.configuration_manager, self.dataset_json
        )
        self.method = self._method_for(self.plans_manager, self.configuration_manager, num_channels)
        self._warnings = self.method.remarks()
        for remark in self._warnings.values():
            self.print_to_log_file(remark)
        return self.method.settings

    def recipe(self) -> Recipe:
        """The method's."""
        return self.method.recipe()

    def measured_channels(self, cases: Sequence[str]) -> Channels:
        """Looks at the images once; noise and restorations are in their units from then on."""
        facts = self.method.facts
        channels = measure_channels(
            self.preprocessed_dataset_folder, cases, facts.patch_size, facts.num_channels
        )
        self.method = type(self.method)(self.settings, replace(facts, measured=channels))
        set_units(self.network, channels.stds, channels.lows, channels.highs)
        self.print_to_log_file(f"Channels of the training images: {channels}")
        return channels

    def values_per_image(self) -> int:
        """The method's views, over the channels of the image."""
        return self.method.voxels_per_image * self.method.facts.num_channels

    # Network

    @classmethod
    def build_network_architecture(
        cls,
        plans_manager,
        configuration_manager,
        num_input_channels: int,
        num_output_channels: int,
        enable_deep_supervision: bool = True,
    ) -> nn.Module:
        """The method's network, made of the planned one."""
        planned = nnUNetTrainer.build_network_architecture(
            plans_manager,
            configuration_manager,
            num_input_channels,
            num_output_channels,
            enable_deep_supervision,
        )
        method = cls._method_for(plans_manager, configuration_manager, num_input_channels)
        return method.build(planned)

    def initialize(self):
        """As the base; then decides how many views pass the backbone at a time."""
        super().initialize()
        self._micro_batch: MicroBatch | None = None
        if couples_images(self.network.backbone):
            self.print_to_log_file(
                "The planned network has batch normalisation or dropout, so all views of a step "
                "pass it together; this takes the memory of the whole batch."
            )
            if self.joint_batch.num_ranks > 1:
                # As nnU-Net does. PyTorch has it for GPUs only, and says so.
                normalise_jointly(self.network)
            return
        facts = self.method.facts
        self._micro_batch = MicroBatch.of_plan(
            facts.batch_size,
            facts.patch_size,
            self.settings.views_at_a_time,
            self.method.largest_view,
            self.device,
        )
        self.print_to_log_file(
            f"Voxels that pass the backbone at a time: {self._micro_batch.voxels:,}, "
            f"of {self.settings.batch_size} images"
        )

    def make_optimizer(self) -> torch.optim.Optimizer:
        """The method's."""
        return self.method.optimizer(self.network)

    # Steps

    @property
    def progress(self) -> float:
        """Finished epochs over all epochs."""
        return self.current_epoch / self.num_epochs

    def accumulate_gradients(
        self, batch: dict[str, Any], generator: torch.Generator, scale: float | Tensor
    ) -> StepLoss:
        """The gradient of the method's loss, drawn for this step."""
        objective = self.method.objective(self.network, self.progress, generator)
        numbers = accumulate_gradients(
            self.network,
            batch["views"],
            objective,
            self._micro_batch,
            Precision(self.autocast, scale),
            self.joint_batch,
        )
        return self._step_loss(numbers, objective.weights)

    def evaluate(self, batch: dict[str, Any], generator: torch.Generator) -> StepLoss:
        """The method's loss, so that epochs can be compared, and all that it watches."""
        objective = self.method.objective(self.network, None, generator)
        numbers = evaluate(
            self.network,
            batch["views"],
            objective,
            self._micro_batch,
            Precision(self.autocast),
            self.joint_batch,
        )
        return self._step_loss(numbers, objective.weights)

    def validation_step(self, batch: dict) -> dict:
        """As the base; the first one measures what each term pulls at the backbone, if due."""
        every, is_first = self.settings.gradients_every, self._step == 0
        numbers = super().validation_step(batch)
        if is_first and every and self.current_epoch % every == 0:
            numbers |= self._gradient_norms(batch["views"])
        return numbers

    def _gradient_norms(self, views: Mapping[str, Tensor]) -> dict[str, float]:
        """Of a training step's terms, on a few images."""
        generator = seeded_generator(self.settings.seed, 3, 0)
        scale = 1.0 if self.grad_scaler is None else self.grad_scaler.get_scale()
        some, joint = first_images(views, self.joint_batch)
        with torch.enable_grad():
            norms = gradient_norms(
                self.network,
                some,
                self.method.objective(self.network, self.progress, generator),
                self._micro_batch,
                Precision(self.autocast, scale),
                joint,
            )
        return {gradient_name(term): norm for term, norm in norms.items()}

    def _step_loss(self, numbers: Mapping[str, Tensor], weights: Mapping[str, float]) -> StepLoss:
        return StepLoss(torch.as_tensor(weighted(numbers, weights)), numbers)

    def after_update(self) -> None:
        """The method's."""
        self.method.after_update(self.network, self.progress)

    # What people see

    @property
    def shown(self) -> Shown:
        """What the run shows of itself."""
        # One level per resolution that is upsampled to; encoders alone have the last stage too.
        return with_gradients(self.method.shown(self.method.num_levels))

    def log_keys(self) -> list[str]:
        """What the method shows, its schedules, the probe."""
        return [*self.shown.log_names, PROBE, PROBE_PER_CLASS]

    def series(self) -> Sequence[Series]:
        """What the method shows."""
        return self.shown.series

    def on_train_start(self):
        """As the base; says how long the training is; then prepares what a person will see."""
        super().on_train_start()
        settings, cost = self.settings, self.method.step_cost
        steps = settings.num_epochs * settings.num_iterations_per_epoch
        self.print_to_log_file(
            f"{settings.num_epochs} epochs of {settings.num_iterations_per_epoch} steps: about as "
            f"much arithmetic as {steps * cost:,.0f} iterations of segmentation with this plan (a "
            f"step counts as {cost:.3g}; nnU-Net's own training has {SEGMENTATION_STEPS:,})"
        )
        if self.local_rank != 0:
            return
        with self.guard("the monitoring"):
            run = monitored_run(self, self.guard)
            has_record = self._resumed and (Path(self.output_folder) / RECORD_NAME).is_file()
            earlier = read_record(self.output_folder) if has_record else None
            self._monitor = PretrainingMonitor(run, earlier)
            if not self._resumed and (score := self._monitor.probe_before_training()):
                self.print_to_log_file(f"probe before training: {score.mean:.4f}")

    def on_train_epoch_end(self, train_outputs: list[dict]):
        """Logs the epoch's means, and the schedules."""
        super().on_train_epoch_end(train_outputs)
        for name, value in self.method.schedules(self.progress).items():
            self.logger.log(name, value, self.current_epoch)

    def on_validation_epoch_end(self, val_outputs: list[dict]):
        """Logs what the method makes of the means; the probe."""
        self._log_means("val", self.method.summarised(means(val_outputs)))
        score = self._monitor.probe(self.current_epoch) if self._monitor else None
        self.logger.log(PROBE, score.mean if score else math.nan, self.current_epoch)
        per_class = [*score.per_class] if score else math.nan
        self.logger.log(PROBE_PER_CLASS, per_class, self.current_epoch)

    def print_epoch(self) -> None:
        """The epoch in a line; warnings when they begin."""
        logged = self.logger.local_logger.my_fantastic_logging
        with self.guard("the epoch's line in the log"):
            self.print_to_log_file(epoch_line(logged, self.shown, self.num_epochs))
        with self.guard("the search for warnings"):
            found = {
                **self.method.warnings(logged),
                **lost_sides(logged, self.method.sides),
                **of_every_training(logged),
            }
            for kind, text in found.items():
                if kind not in self._warnings:
                    self.print_to_log_file(f"WARNING: {text}")
            self._warnings = found

    def plot_progress(self) -> None:
        """progress.png and the method's pictures, if they are due, and the record of the run."""
        if self._monitor:
            logged = self.logger.local_logger.my_fantastic_logging
            self._monitor.after_epoch(logged, self._warnings)

    def perform_actual_validation(self, save_probabilities: bool = False):
        """Writes report.html, then as the base."""
        folder = Path(self.output_folder)
        if self.local_rank == 0 and (folder / RECORD_NAME).is_file():
            with self.guard(REPORT_NAME):
                write_report(read_runs([folder]), folder / REPORT_NAME)
                self.print_to_log_file(f"Report: {folder / REPORT_NAME}")
        super().perform_actual_validation(save_probabilities)

    # Files

    def described(self) -> dict[str, Any]:
        """How the weights were made, as files say it."""
        return described(self)

    def portable_weights(self) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
        """The backbone as the planned network, and what a reader needs to know of it."""
        return portable_weights(self)
