"""A method's settings for a plan, from everything that may change them."""

from collections.abc import Mapping, Sequence
from typing import Any

from nnunetv2_pcrl.methods.method import Method
from nnunetv2_pcrl.methods.plan_facts import PlanFacts
from nnunetv2_pcrl.methods.settings import PretrainingSettings, settings_of_word


def settings_for(
    method: type[Method], facts: PlanFacts, section: Mapping[str, Any], words: Sequence[str] = ()
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
    under, over = {}, {}
    for word in words:
        variant = method.variants.get(word)
        if variant is None:
            over |= settings_of_word(word) or {}
        else:
            (under if variant.is_default else over).update(variant.settings(facts))
    given = {**under, **section, **over}
    defaults = method.defaults(facts, given)
    return method.Settings.from_values({**defaults, **given}, method.about.section)


def is_variant(method: type[Method], word: str) -> bool:
    """Whether a word of a trainer's name means something to the method."""
    return word in method.variants or settings_of_word(word) is not None
