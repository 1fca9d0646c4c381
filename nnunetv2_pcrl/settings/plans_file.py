"""The package's part of a configuration in the plans file: a section for every room.

"3d_fullres": {..., "nnunetv2_pcrl": {"pcrlv2": {...}, "mae": {...}, "finetune": {...}}}
"""

from collections.abc import Iterable, Mapping
from typing import Any

from nnunetv2_pcrl.settings.base import check_names

SECTIONS = "nnunetv2_pcrl"
# Settings of every method's pretraining; a method's own section comes before it.
PRETRAINING = "pretraining"
FINETUNE = "finetune"
CLASSIFICATION = "classification"
NODULES = "nodules"
TASK_SECTIONS = (FINETUNE, CLASSIFICATION, NODULES)
# Those of the methods are theirs.
COMMON_SECTIONS = (PRETRAINING, *TASK_SECTIONS)
_OLD_SECTION = "pcrlv2"


def read_section(
    configuration: Mapping[str, Any], name: str, methods: Iterable[str]
) -> dict[str, Any]:
    """One section of a configuration; empty if it has none.

    Args:
        configuration: of the plans file.
        name: of the section.
        methods: sections of all methods; with the common ones they are all that may be there.

    Raises:
        ValueError: if a section is unknown, or is no dictionary of settings.
    """
    if _OLD_SECTION in configuration:
        raise ValueError(
            f'the settings of the plans file moved: write "{SECTIONS}": {{"{_OLD_SECTION}": '
            f'{{...}}, "{FINETUNE}": {{...}}}} in the place of "{_OLD_SECTION}": {{...}}; '
            f'"weights", "transfer" and the other settings of fine-tuning go to "{FINETUNE}"'
        )
    sections = configuration.get(SECTIONS, {})
    _demand_dictionary(sections, SECTIONS)
    check_names(sections, (*methods, *COMMON_SECTIONS), SECTIONS)
    section = sections.get(name, {})
    _demand_dictionary(section, f"{SECTIONS}.{name}")
    return dict(section)


def _demand_dictionary(value: Any, name: str) -> None:
    if not isinstance(value, Mapping):
        raise ValueError(
            f'"{name}" in the plans file must be a dictionary of settings, got {value!r}'
        )
