"""PCRLv2PretrainTrainer: what PCRLv2 is among self-supervised trainers."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import Tensor

import nnunetv2_pcrl
from nnunetv2_pcrl.methods.pcrlv2.loss import (
    Levels,
    LossWeights,
    draw_levels,
    level_restoration_weight,
)
from nnunetv2_pcrl.methods.pcrlv2.network import PCRLv2Network
from nnunetv2_pcrl.methods.pcrlv2.settings import (
    SMALL_COMPARISON_BATCH,
    PCRLv2Settings,
    derive_settings,
)
from nnunetv2_pcrl.methods.pcrlv2.variants import (
    authors_settings,
    method_name,
    settings_of_variant,
)
from nnunetv2_pcrl.monitoring.epoch_line import epoch_line
from nnunetv2_pcrl.monitoring.health import health_warnings, small_batch_text
from nnunetv2_pcrl.monitoring.log_names import (
    PROBE,
    STATE,
    TERMS,
    logged_names,
    of_levels,
    restoration_error_names,
)
from nnunetv2_pcrl.monitoring.pretraining_monitor import PretrainingMonitor
from nnunetv2_pcrl.monitoring.record import RECORD_NAME, read_record
from nnunetv2_pcrl.monitoring.report import REPORT_NAME, write_report
from nnunetv2_pcrl.monitoring.representation import representation_state
from nnunetv2_pcrl.monitoring.runs import read_runs
from nnunetv2_pcrl.networks.non_skip import NonSkipUNet, copy_into_skip_network
from nnunetv2_pcrl.settings.sections import check_names, read_section
from nnunetv2_pcrl.tasks.segmentation.settings import FinetuneSettings
from nnunetv2_pcrl.training.monitored_run import monitored_run
from nnunetv2_pcrl.training.ssl_trainer import SSLTrainer, StepLoss
from nnunetv2_pcrl.training.step import Evaluation, StepResult, ViewBatch
from nnunetv2_pcrl.training.two_pass import (
    MicroBatch,
    Precision,
    accumulate_gradients,
    couples_images,
    evaluate,
)
from nnunetv2_pcrl.weights.adaptation_plan import build_adaptation_plan
from nnunetv2_pcrl.weights.planned_for import planned_for
from nnunetv2_pcrl.weights.portable import CITATIONS


class PCRLv2PretrainTrainer(SSLTrainer):
    """Pretrains the planned network by PCRLv2, without labels.

    Source: Zhou et al. 2023 (PCRLv2).
    """

    has_authors_settings = False
    # In the first process only.
    _monitor: PretrainingMonitor | None = None
    # What the last epoch was warned about. A small batch is said before the first one.
    _warnings: Mapping[str, str] = {"small batch": ""}

    @classmethod
    def variant_of_length(cls, num_epochs: int) -> dict[str, Any]:
        """Class attributes of the variant that trains for so many epochs."""
        return {"variant": {**cls.variant, "num_epochs": num_epochs}}

    @classmethod
    def variant_of_word(cls, word: str) -> dict[str, Any] | None:
        """Class attributes of the variant of that name, e.g. authors; None if there is none."""
        if word == "authors":
            return {"has_authors_settings": True}
        settings = settings_of_variant(word)
        return settings and {"variant": {**cls.variant, **settings}}

    def derive_settings(self) -> PCRLv2Settings:
        """Settings from the plan, the plans' `"pcrlv2"` section and the variant, in this order.

        The authors' settings take the place of those from the plan.
        """
        configuration = self.configuration_manager
        section = read_section(configuration.configuration)
        check_names(section, PCRLv2Settings.names() | FinetuneSettings.names())
        overrides = {k: v for k, v in section.items() if k in PCRLv2Settings.names()}
        num_axes = len(configuration.patch_size)
        authors = authors_settings(num_axes) if self.has_authors_settings else {}
        settings = derive_settings(
            configuration.patch_size,
            np.prod(self._planned_strides(), axis=0).tolist(),
            configuration.spacing,
            {**authors, **overrides, **self.variant},
        )
        if not (settings.restoration_weight and settings.comparison_weight):
            self.print_to_log_file(
                f"{method_name(settings)}: its terms are logged, and are not in the loss"
            )
        if settings.batch_size < SMALL_COMPARISON_BATCH and settings.comparison_weight:
            self.print_to_log_file(f"WARNING: {small_batch_text(settings.batch_size)}")
        return settings

    def _planned_strides(self) -> list:
        strides = self.configuration_manager.network_arch_init_kwargs.get("strides")
        if strides is None:
            # Another architecture: building the variant says what is supported.
            NonSkipUNet(self._planned_network())
        return strides

    @staticmethod
    def build_network_architecture(
        plans_manager,
        configuration_manager,
        num_input_channels: int,
        num_output_channels: int,
        enable_deep_supervision: bool = True,
    ) -> PCRLv2Network:
        """The non-skip variant of the planned network, with heads."""
        planned = nnUNetTrainer.build_network_architecture(
            plans_manager,
            configuration_manager,
            num_input_channels,
            num_output_channels,
            enable_deep_supervision,
        )
        return PCRLv2Network(NonSkipUNet(planned), num_input_channels)

    def _planned_network(self) -> torch.nn.Module:
        """The stock network of the plan, freshly initialised."""
        return nnUNetTrainer.build_network_architecture(
            self.plans_manager,
            self.configuration_manager,
            self.num_input_channels or 1,
            self.label_manager.num_segmentation_heads,
            enable_deep_supervision=True,
        )

    @property
    def _num_levels(self) -> int:
        return len(self._planned_strides()) - 1

    def log_keys(self) -> list[str]:
        """Loss terms, what restoring each view's mean would cost, state per level, the probe."""
        return logged_names(self._num_levels)

    def initialize(self):
        """As the base; then decides how many views pass the backbone at a time."""
        super().initialize()
        settings, plan = self.settings, self.configuration_manager
        self._micro_batch: MicroBatch | None = None
        if couples_images(self.network.backbone):
            self.print_to_log_file(
                "The planned network has batch normalisation or dropout, so all views of a step "
                "pass it together; this takes the memory of the whole comparison batch."
            )
            if self.joint_batch.num_ranks > 1:
                # As nnU-Net does. PyTorch has it for GPUs only, and says so.
                self.network.backbone = torch.nn.SyncBatchNorm.convert_sync_batchnorm(
                    self.network.backbone
                )
            return
        self._micro_batch = MicroBatch.of_plan(
            plan.batch_size,
            plan.patch_size,
            settings.global_size,
            settings.local_size,
            settings.global_views_at_a_time,
        )
        self.print_to_log_file(
            f"Views that pass the backbone at a time: {self._micro_batch.global_views} global or "
            f"{self._micro_batch.local_views} local ones, of {settings.batch_size} images"
        )

    def accumulate_gradients(
        self, batch: dict[str, Any], generator: torch.Generator, scale: float | Tensor
    ) -> StepLoss:
        """The gradient of the PCRLv2 loss at levels drawn for this step."""
        weights = self._loss_weights(self._level_restoration_weight)
        result = accumulate_gradients(
            self.network,
            _views_of(batch),
            self._draw_levels(generator),
            weights,
            self._micro_batch,
            Precision(self.autocast, scale),
            self.joint_batch,
        )
        return self._step_loss(batch, result, weights)

    def evaluate(self, batch: dict[str, Any], generator: torch.Generator) -> StepLoss:
        """The PCRLv2 loss with beta = 1, so that epochs can be compared."""
        levels = self._draw_levels(generator)
        result = evaluate(
            self.network, _views_of(batch), levels, self._micro_batch, self.joint_batch
        )
        step = self._step_loss(batch, result, self._loss_weights(1.0))
        return StepLoss(step.loss, {**step.numbers, **self._state(result)})

    def _state(self, result: Evaluation) -> dict[str, Tensor]:
        """The state of the representation; the same names in every process, whatever happens."""
        num_levels, pooled = self.network.num_levels, result.pooled
        state = dict.fromkeys(of_levels(STATE, num_levels), torch.tensor(math.nan))
        with self.guard("the state of the representation"):
            state |= representation_state(self.network, pooled.first, pooled.second, pooled.local)
        errors = (*result.level_errors, result.terms.restoration)
        return state | dict(zip(restoration_error_names(num_levels), errors, strict=True))

    def _draw_levels(self, generator: torch.Generator) -> Levels:
        settings = self.settings
        return draw_levels(
            self.network.num_levels, settings.num_local, generator, settings.shared_level
        )

    def _loss_weights(self, beta: float) -> LossWeights:
        settings = self.settings
        return LossWeights(
            settings.restoration_weight,
            settings.restoration_weight * beta,
            settings.comparison_weight,
        )

    def _step_loss(
        self, batch: dict[str, Any], result: StepResult, weights: LossWeights
    ) -> StepLoss:
        numbers = {name: getattr(result.terms, name) for name in TERMS}
        variances = batch["target"].flatten(2).var(dim=2, unbiased=False)
        numbers["target_variance"] = self.joint_batch.weight * variances.mean()
        for level in range(self.network.num_levels):
            numbers[f"z_std_level_{level}"] = result.projection_spreads[level]
            numbers[f"feature_spread_level_{level}"] = result.feature_spreads[level]
        return StepLoss(result.terms.total(weights), numbers)

    @property
    def _level_restoration_weight(self) -> float:
        return level_restoration_weight(self.current_epoch, self.num_epochs)

    def on_train_epoch_end(self, train_outputs: list[dict]):
        """Logs the epoch's means, and beta."""
        super().on_train_epoch_end(train_outputs)
        self.logger.log(
            "level_restoration_weight", self._level_restoration_weight, self.current_epoch
        )

    def on_train_start(self):
        """As the base; then prepares what a person will see."""
        super().on_train_start()
        if self.local_rank != 0:
            return
        with self.guard("the monitoring"):
            run = monitored_run(self, self.guard)
            has_record = self._resumed and (Path(self.output_folder) / RECORD_NAME).is_file()
            earlier = read_record(self.output_folder) if has_record else None
            self._monitor = PretrainingMonitor(run, earlier)
            if not self._resumed and (score := self._monitor.probe_before_training()):
                self.print_to_log_file(f"probe before training: {score.mean:.4f}")

    def on_validation_epoch_end(self, val_outputs: list[dict]):
        """Logs the means; restoration errors in units of the images' variance; the probe."""
        variance = np.mean([output["target_variance"] for output in val_outputs])
        for output in val_outputs:
            for name in restoration_error_names(self.network.num_levels):
                output[name] /= max(variance, 1e-12)
        super().on_validation_epoch_end(val_outputs)
        score = self._monitor.probe(self.current_epoch) if self._monitor else None
        self.logger.log(PROBE, score.mean if score else math.nan, self.current_epoch)
        per_class = [*score.per_class] if score else math.nan
        self.logger.log(f"{PROBE}_per_class", per_class, self.current_epoch)

    def print_epoch(self) -> None:
        """The epoch in a line; warnings when they begin."""
        logged = self.logger.local_logger.my_fantastic_logging
        with self.guard("the epoch's line in the log"):
            self.print_to_log_file(epoch_line(logged, self._num_levels, self.num_epochs))
        with self.guard("the search for warnings"):
            found = health_warnings(logged, self._num_levels, self.settings)
            for kind, text in found.items():
                if kind not in self._warnings:
                    self.print_to_log_file(f"WARNING: {text}")
            self._warnings = found

    def plot_progress(self) -> None:
        """progress.png and restorations.png, if they are due, and the record of the run."""
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

    def portable_weights(self) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
        """The backbone as the planned skip network, and what a reader needs to know of it."""
        planned = self._planned_network()
        copy_into_skip_network(self.network.backbone, planned)
        about = {
            "method": method_name(self.settings),
            "made_by": f"nnunetv2_pcrl {nnunetv2_pcrl.__version__}",
            "citations": CITATIONS,
            "nnunet_plans": self.plans_manager.plans,
            "planned_for": planned_for(self.plans_manager.plans),
            "configuration": self.configuration_name,
            "fold": self.fold,
            "channel_names": self.dataset_json.get("channel_names", {}),
            "settings": self.settings.as_plain(),
            "num_epochs": self.num_epochs,
        }
        if hasattr(planned, "key_to_encoder"):
            about["nnssl_adaptation_plan"] = build_adaptation_plan(
                self.plans_manager.plans,
                self.configuration_manager.configuration,
                self.configuration_name,
                self.num_input_channels,
                planned.key_to_encoder,
                planned.key_to_stem,
                planned.keys_to_in_proj,
            )
        return planned.state_dict(), about


def _views_of(batch: dict[str, Any]) -> ViewBatch:
    return ViewBatch(batch["target"], batch["global_views"], batch["local_views"])
