"""The `"pcrlv2"` section of a configuration in the plans file: reading and checking it."""

import difflib
from collections.abc import Mapping
from typing import Any

SECTION = "pcrlv2"


def read_section(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The `"pcrlv2"` section of a configuration, empty if it has none.

    Raises:
        ValueError: if it is not a dictionary.
    """
    section = configuration.get(SECTION, {})
    if not isinstance(section, Mapping):
        raise ValueError(
            f'"{SECTION}" in the plans file must be a dictionary of settings, got {section!r}'
        )
    return dict(section)


def check_names(section: Mapping[str, Any], known: set[str]) -> None:
    """Refuses settings that nobody reads, because a typing error would pass unnoticed.

    Raises:
        ValueError: naming the unknown settings and the nearest known ones.
    """
    unknown = sorted(set(section) - known)
    if not unknown:
        return
    hints = []
    for name in unknown:
        near = difflib.get_close_matches(name, known, n=1)
        hints.append(f'"{name}"' + (f' (did you mean "{near[0]}"?)' if near else ""))
    raise ValueError(
        f'unknown setting in "{SECTION}" of the plans file: {", ".join(hints)}. '
        f"Known settings: {', '.join(sorted(known))}."
    )
