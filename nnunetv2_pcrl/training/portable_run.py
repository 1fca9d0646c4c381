"""What the files of a pretraining hold of it, gathered from nnU-Net's trainer."""

from collections.abc import Mapping
from typing import Any

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import Tensor, nn

import nnunetv2_pcrl
from nnunetv2_pcrl.methods.pretraining import Pretraining
from nnunetv2_pcrl.weights.adaptation_plan import build_adaptation_plan
from nnunetv2_pcrl.weights.fresh import fixed_seed
from nnunetv2_pcrl.weights.planned_for import planned_for
from nnunetv2_pcrl.weights.portable import citations_with


def described(trainer: nnUNetTrainer) -> dict[str, Any]:
    """How the weights were made, as checkpoints and the portable file say it.

    Args:
        trainer: initialised, with its `method`.
    """
    pretraining = Pretraining.of_trainer(type(trainer).__name__)
    assert pretraining is not None, trainer
    return {
        "method": pretraining.method,
        "variants": list(pretraining.variants),
        "decoder": trainer.network.backbone.decoder,
        "citations": citations_with(trainer.method.about.citations),
    }


def portable_weights(
    trainer: nnUNetTrainer,
) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
    """The backbone as the planned network, and what a reader needs to know of it.

    Args:
        trainer: initialised, with its `method`.

    Returns:
        Weights under the stock names, and the other entries of the portable file but
        `epochs_done`.
    """
    planned = _planned_network(trainer)
    trainer.network.backbone.write_into(planned)
    plans = trainer.plans_manager.plans
    about = {
        **described(trainer),
        "made_by": f"nnunetv2_pcrl {nnunetv2_pcrl.__version__}",
        "nnunet_plans": plans,
        "planned_for": planned_for(plans),
        "configuration": trainer.configuration_name,
        "fold": trainer.fold,
        "channel_names": trainer.dataset_json.get("channel_names", {}),
        "settings": trainer.settings.as_plain(),
        "num_epochs": trainer.num_epochs,
    }
    if hasattr(planned, "key_to_encoder"):
        named: Any = planned
        about["nnssl_adaptation_plan"] = build_adaptation_plan(
            plans,
            trainer.configuration_manager.configuration,
            trainer.configuration_name,
            trainer.method.facts.num_channels,
            named.key_to_encoder,
            named.key_to_stem,
            named.keys_to_in_proj,
        )
    return planned.state_dict(), about


def _planned_network(trainer: nnUNetTrainer) -> nn.Module:
    """The stock network of the plan, initialised as in every other run."""
    with fixed_seed():
        return nnUNetTrainer.build_network_architecture(
            trainer.plans_manager,
            trainer.configuration_manager,
            trainer.method.facts.num_channels,
            trainer.label_manager.num_segmentation_heads,
            enable_deep_supervision=True,
        )
