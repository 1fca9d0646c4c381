"""What a user should know about a pretrained file before training with it."""

import re
import shlex
from collections.abc import Sequence

import torch

from nnunetv2_pcrl.weights.portable import NO_DECODER, NO_SKIPS, SKIPS
from nnunetv2_pcrl.weights.sources import NNSSL, PORTABLE, PRETRAINING, PretrainedSource

RESENC_L_PLANNER = "nnUNetPlannerResEncL"
DEFAULT_TRAINER = "PCRLv2PretrainTrainer"
DECODER_TEXTS = {
    SKIPS: "its decoder was trained with skip connections",
    NO_SKIPS: "its decoder was trained without skip connections",
    NO_DECODER: "its decoder was not trained",
    None: "how its decoder was trained is not said",
}


def notes_on(source: PretrainedSource) -> list[str]:
    """What is odd about the file itself, whatever it is used for."""
    notes = []
    if source.untrained:
        notes.append(
            f"{len(source.untrained)} of its tensors have two names with different values, as "
            f"nnssl's sparse trainers (SparK, S3D) leave them: those under all_modules were "
            f"trained and are taken, not those under conv and norm (e.g. {source.untrained[0]})"
        )
    odd = [
        name
        for name, value in source.weights.items()
        if value.is_floating_point() and not torch.isfinite(value.float()).all()
    ]
    if odd:
        notes.append(
            f"WARNING: {len(odd)} of its tensors hold values that are not finite (e.g. {odd[0]}): "
            f"use an earlier checkpoint of the pretraining"
        )
    return notes


def remarks_on(
    source: PretrainedSource, dataset_name: str, normalization: Sequence[str]
) -> list[str]:
    """Remarks for the log: unfinished, of other data, of other intensities.

    Args:
        source: the file.
        dataset_name: of the target.
        normalization: nnU-Net's scheme per input channel of the target.
    """
    remarks = []
    if source.method:
        decoder = DECODER_TEXTS[source.decoder]
        remarks.append(f"It holds: {source.kind}, method {source.title}; {decoder}")
    remarks += notes_on(source)
    if source.num_epochs is not None and source.epochs_done != source.num_epochs:
        remarks.append(
            f"WARNING: its pretraining stopped after {source.epochs_done} of "
            f"{source.num_epochs} epochs"
        )
    if source.dataset_name not in (None, dataset_name):
        is_for_this = source.planned_for.get("dataset_name") == dataset_name
        plans = source.planned_for.get("plans_name")
        suffix = f", for {plans} of this one" if is_for_this else ""
        remarks.append(f"It was made from another data set, {source.dataset_name}{suffix}")
    if source.normalization is not None and set(source.normalization) != set(normalization):
        remarks.append(
            f"WARNING: its images were normalised by {sorted(set(source.normalization))}, these "
            f"are by {sorted(set(normalization))}; plan with the same normalisation for features "
            f"that mean the same"
        )
    return remarks


def remedy_for(
    source: PretrainedSource, dataset_name: str, configuration: str, plans_name: str
) -> str:
    """Which plan to use and which command makes it, for weights that do not fit a plan."""
    # A person may copy the commands, whatever the names are; some of them come from the file.
    dataset, of_configuration = shlex.quote(dataset_name), shlex.quote(configuration)
    own_plans = shlex.quote(plans_name)
    remedy = (
        f"They were made for another plan or architecture. Pretrain with this one: "
        f"nnUNetv2_train {dataset} {of_configuration} all -tr {_trainer(source)} -p {own_plans}"
    )
    fitting = f"{remedy}. Or use a plan that fits the file: "
    number = shlex.quote(_number(dataset_name))
    if source.kind == NNSSL:
        return fitting + (
            f"nnUNetv2_plan_experiment -d {number} -pl {RESENC_L_PLANNER}, then "
            f"nnUNetv2_preprocess -d {number} -plans_name nnUNetResEncUNetLPlans "
            f"-c {of_configuration} and -p nnUNetResEncUNetLPlans."
        )
    planned = (source.plans_dataset, source.plans_name, source.configuration)
    if planned == (dataset_name, plans_name, configuration):
        return f"{remedy} (the file's plans have the same name, but another network)."
    plans = shlex.quote(source.plans_name or "PLANS_OF_THE_PRETRAINING")
    if source.plans_dataset in (None, dataset_name):
        name = shlex.quote(source.configuration) if source.configuration else "of the pretraining"
        return fitting + f"-p {plans}, configuration {name}."
    moved = shlex.quote(f"{source.plans_name}_pretrained")
    return fitting + (
        f"nnUNetv2_move_plans_between_datasets -s {shlex.quote(source.plans_dataset)} "
        f"-t {dataset} -sp {plans} -tp {moved}, then nnUNetv2_preprocess -d {number} "
        f"-plans_name {moved} -c {of_configuration} and -p {moved}."
    )


def _trainer(source: PretrainedSource) -> str:
    """The trainer that pretrains as the file was pretrained, or ours by default."""
    is_ours = source.kind in (PORTABLE, PRETRAINING) and (source.method or "").isidentifier()
    return f"{source.method}PretrainTrainer" if is_ours else DEFAULT_TRAINER


def _number(dataset_name: str) -> str:
    """The number of a data set, because nnU-Net's planning commands take no names."""
    match = re.match(r"Dataset0*(\d+)_", dataset_name)
    return match[1] if match else dataset_name
