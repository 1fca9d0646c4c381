"""A method's settings for a plan, from everything that may change them."""

from collections.abc import Mapping, Sequence
from typing import Any

from nnunetv2_pcrl.methods.method import AnyMethod
from nnunetv2_pcrl.methods.optimizers import USUAL
from nnunetv2_pcrl.methods.plan_facts import PlanFacts
from nnunetv2_pcrl.methods.settings import PretrainingSettings, settings_of_word

# Of nnU-Net: 1000 epochs of 250.
SEGMENTATION_STEPS = 250_000


def settings_for(
    method: type[AnyMethod], facts: PlanFacts, section: Mapping[str, Any], words: Sequence[str] = ()
) -> PretrainingSettings:
    """Settings from the plan, the method's section of the plans file and a trainer's name.

    Args:
        method: whose settings.
        facts: what the plan says.
        section: settings of the plans file.
        words: of the trainer's name: variants of the method, and those of `settings_of_word`.

    Raises:
        ValueError: naming what is unknown or does not fit.
    """
    under: dict[str, Any] = {}
    over: dict[str, Any] = {}
    for word in words:
        variant = method.variants.get(word)
        if variant is None:
            over |= settings_of_word(word) or {}
        else:
            (under if variant.is_default else over).update(variant.settings(facts))
    given = {**under, **section, **over}
    values = {**usual_rates(method, given), **method.defaults(facts, given), **given}
    if "num_epochs" in given:
        return method.Settings.from_values(values, method.about.section)
    settings = method.Settings.from_values({**values, "num_epochs": 1}, method.about.section)
    return settings.model_copy(update={"num_epochs": length_from_plan(method(settings, facts))})


def usual_rates(method: type[AnyMethod], given: Mapping[str, Any]) -> dict[str, Any]:
    """Optimiser, learning rate, momentum and weight decay, as nobody has to choose them."""
    name = given.get("optimizer", method.usual_optimizer)
    # An unknown name is refused later, with all other settings that do not fit.
    return {"optimizer": name, **USUAL.get(name, USUAL[method.usual_optimizer])}


def length_from_plan(method: AnyMethod) -> int:
    """Epochs that cost about one training of nnU-Net's with the same plan, whatever the patch."""
    steps = SEGMENTATION_STEPS / method.step_cost
    num_epochs: int = round(steps / method.settings.num_iterations_per_epoch)
    return max(1, num_epochs)


def is_variant(method: type[AnyMethod], word: str) -> bool:
    """Whether a word of a trainer's name means something to the method."""
    return word in method.variants or settings_of_word(word) is not None
