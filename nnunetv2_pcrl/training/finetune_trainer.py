"""PCRLv2FinetuneTrainer: nnU-Net's own training, started from pretrained weights."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from nnunetv2.paths import nnUNet_results
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import Tensor, nn
from torch._dynamo import OptimizedModule

from nnunetv2_pcrl.planning.finetune_settings import FinetuneSettings
from nnunetv2_pcrl.planning.overrides import check_names, read_section
from nnunetv2_pcrl.planning.settings import PCRLv2Settings
from nnunetv2_pcrl.training.results import WEIGHTS_VARIABLE, FoundWeights, find_weights
from nnunetv2_pcrl.weights.atomic import replaced_atomically
from nnunetv2_pcrl.weights.portable import read_weights
from nnunetv2_pcrl.weights.transfer import TransferReport, transfer_weights

REPORT_NAME = "transfer_report.json"


class PCRLv2FinetuneTrainer(nnUNetTrainer):
    """Differs from nnUNetTrainer in the weights it starts from, and in nothing else.

    `-tr nnUNetTrainer` with the same plans is its from-scratch twin. Weights are loaded at the
    start of a fresh training only; resuming, validation and prediction need no weights file.
    """

    variant_epochs: int | None = None

    def __init__(
        self,
        plans: dict,
        configuration: str,
        fold: int,
        dataset_json: dict,
        device: torch.device = torch.device("cuda"),  # noqa: B008
    ):
        super().__init__(plans, configuration, fold, dataset_json, device)
        section = read_section(self.configuration_manager.configuration)
        check_names(section, PCRLv2Settings.names() | FinetuneSettings.names())
        self.finetune_settings = FinetuneSettings.from_section(section)
        if self.variant_epochs is not None:
            self.num_epochs = self.variant_epochs
        self._resumed = False
        self._stem_at_initialisation: Tensor | None = None

    @classmethod
    def variant_of_length(cls, num_epochs: int) -> dict[str, Any]:
        """Class attributes of the variant that trains for so many epochs."""
        return {"variant_epochs": num_epochs}

    def initialize(self):
        """As nnU-Net; remembers the stem, to see whether somebody loads other weights."""
        super().initialize()
        self._stem_at_initialisation = self._stem().clone()

    def load_checkpoint(self, filename_or_checkpoint: dict | str) -> None:
        """As nnU-Net; a resumed training does not start from pretrained weights again."""
        super().load_checkpoint(filename_or_checkpoint)
        self._resumed = True

    def on_train_start(self):
        """Loads the pretrained weights into a fresh network, then starts as nnU-Net does."""
        if not self.was_initialized:
            self.initialize()
        if not self._resumed:
            self._start_from_pretrained_weights()
        super().on_train_start()

    def save_checkpoint(self, filename: str) -> None:
        """nnU-Net's checkpoint, never half-written."""
        if self.local_rank != 0 or self.disable_checkpointing:
            super().save_checkpoint(filename)
            return
        with replaced_atomically(filename) as temporary:
            super().save_checkpoint(str(temporary))

    def _start_from_pretrained_weights(self) -> None:
        if not torch.equal(self._stem(), self._stem_at_initialisation):
            # nnU-Net loads the file of -pretrained_weights before it starts the training.
            self.print_to_log_file("Keeping the weights given by -pretrained_weights")
            return
        found = find_weights(
            os.environ.get(WEIGHTS_VARIABLE),
            self.finetune_settings.weights,
            Path(nnUNet_results.require()) / self.plans_manager.dataset_name,
            self.plans_manager.plans_name,
            self.configuration_name,
            self.fold,
        )
        try:
            content = read_weights(found.path)
            report = transfer_weights(
                content["network_weights"], self._planned_network(), self.finetune_settings.transfer
            )
        except ValueError as error:
            raise ValueError(f"Weights {found.path} (from {found.origin}): {error}") from error
        self._log_report(found, content, report)

    def _planned_network(self) -> nn.Module:
        network = self.network.module if self.is_ddp else self.network
        return network._orig_mod if isinstance(network, OptimizedModule) else network

    def _stem(self) -> Tensor:
        """The first weight of the encoder: shows whether somebody loaded weights."""
        return next(self._planned_network().encoder.parameters()).detach()

    def _log_report(
        self, found: FoundWeights, content: dict[str, Any], report: TransferReport
    ) -> None:
        self.print_to_log_file(f"Pretrained weights: {found.path}\nfrom {found.origin}")
        for line in (*self._remarks(content), *report.lines()):
            self.print_to_log_file(line, add_timestamp=False)
        if self.local_rank != 0:
            return
        with open(Path(self.output_folder) / REPORT_NAME, "w") as file:
            json.dump(
                {
                    "weights": str(found.path),
                    "origin": found.origin,
                    "transfer": self.finetune_settings.transfer,
                    "summary": report.summary(),
                    "groups": report.groups(),
                    "loaded": report.loaded,
                    "adapted": report.adapted,
                    "left": report.left,
                },
                file,
                indent=2,
            )

    def _remarks(self, content: dict[str, Any]) -> list[str]:
        """What a user should know about the file: unfinished, of other data, other intensities."""
        remarks = []
        done, planned = content.get("epochs_done"), content.get("num_epochs")
        if done is not None and done != planned:
            remarks.append(f"WARNING: its pretraining stopped after {done} of {planned} epochs")
        plans = content.get("nnunet_plans", {})
        dataset = plans.get("dataset_name")
        if dataset not in (None, self.plans_manager.dataset_name):
            origin = content.get("planned_for", {})
            is_for_this = origin.get("dataset_name") == self.plans_manager.dataset_name
            suffix = f", for {origin['plans_name']} of this one" if is_for_this else ""
            remarks.append(f"It was made from another data set, {dataset}{suffix}")
        configuration = plans.get("configurations", {}).get(content.get("configuration"), {})
        schemes = configuration.get("normalization_schemes")
        if schemes not in (None, self.configuration_manager.normalization_schemes):
            remarks.append(
                f"WARNING: its images were normalised by {schemes}, these are by "
                f"{self.configuration_manager.normalization_schemes}"
            )
        return remarks
