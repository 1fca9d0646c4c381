"""What a user should know about a pretrained file before training with it."""

import re
from collections.abc import Sequence

from nnunetv2_pcrl.weights.sources import NNSSL, PretrainedSource

RESENC_L_PLANNER = "nnUNetPlannerResEncL"


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
        remarks.append(f"It holds: {source.kind}, method {source.method}")
    if source.num_epochs is not None and source.epochs_done != source.num_epochs:
        remarks.append(
            f"WARNING: its pretraining stopped after {source.epochs_done} of "
            f"{source.num_epochs} epochs"
        )
    if source.dataset_name not in (None, dataset_name):
        is_for_this = source.planned_for.get("dataset_name") == dataset_name
        suffix = f", for {source.planned_for['plans_name']} of this one" if is_for_this else ""
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
    remedy = (
        f"They were made for another plan or architecture. Pretrain with this one: "
        f"nnUNetv2_train {dataset_name} {configuration} all -tr PCRLv2PretrainTrainer "
        f"-p {plans_name}"
    )
    fitting = f"{remedy}. Or use a plan that fits the file: "
    number = _number(dataset_name)
    if source.kind == NNSSL:
        return fitting + (
            f"nnUNetv2_plan_experiment -d {number} -pl {RESENC_L_PLANNER}, then "
            f"nnUNetv2_preprocess -d {number} -plans_name nnUNetResEncUNetLPlans "
            f"-c {configuration} and -p nnUNetResEncUNetLPlans."
        )
    planned = (source.plans_dataset, source.plans_name, source.configuration)
    if planned == (dataset_name, plans_name, configuration):
        return f"{remedy} (the file's plans have the same name, but another network)."
    if source.plans_dataset in (None, dataset_name):
        plans = source.plans_name or "PLANS_OF_THE_PRETRAINING"
        name = source.configuration or "of the pretraining"
        return fitting + f"-p {plans}, configuration {name}."
    moved = f"{source.plans_name}_pretrained"
    return fitting + (
        f"nnUNetv2_move_plans_between_datasets -s {source.plans_dataset} -t {dataset_name} "
        f"-sp {source.plans_name} -tp {moved}, then nnUNetv2_preprocess -d {number} "
        f"-plans_name {moved} -c {configuration} and -p {moved}."
    )


def _number(dataset_name: str) -> str:
    """The number of a data set, because nnU-Net's planning commands take no names."""
    match = re.match(r"Dataset0*(\d+)_", dataset_name)
    return match[1] if match else dataset_name
