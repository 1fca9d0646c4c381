"""The normalisation of a target data set, for images with as many channels or with others."""

from collections.abc import Mapping, Sequence
from typing import Any

# Of this scheme the intensities of the data set count, and not only the image's.
_USES_INTENSITIES = "CTNormalization"


def target_schemes(
    configuration: Mapping[str, Any], num_channels: int
) -> tuple[list[str], list[bool]]:
    """Schemes and the use of masks of a target's configuration.

    Args:
        configuration: of the target's plans.
        num_channels: of the images that are normalised.

    Returns:
        Both per channel.

    Raises:
        ValueError: if the target's channels are normalised in several ways, and these images have
            another number of them.
    """
    schemes = configuration["normalization_schemes"]
    use_mask = configuration["use_mask_for_norm"]
    return _for_channels(schemes, num_channels), _for_channels(use_mask, num_channels)


def _for_channels(values: Sequence[Any], num_channels: int) -> list[Any]:
    if len(values) == num_channels:
        return list(values)
    if len(set(values)) != 1:
        raise ValueError(
            f"The target normalises its {len(values)} channels in several ways "
            f"({', '.join(map(str, values))}), and these images have {num_channels}: leave out "
            f"--normalization target."
        )
    return [values[0]] * num_channels


def target_intensities(
    target: Mapping[str, Any], num_channels: int, own: Mapping[str, Any]
) -> dict[str, Any]:
    """Intensities per channel: the target's where its scheme uses them, the images' own elsewhere.

    Args:
        target: its plans.
        num_channels: of the images that are normalised.
        own: their intensities per channel.

    Raises:
        ValueError: as for `target_schemes`.
    """
    intensities = target["foreground_intensity_properties_per_channel"]
    found = next(
        (v for v in target["configurations"].values() if "normalization_schemes" in v), None
    )
    if found is None:
        return dict(own)
    schemes, _ = target_schemes(found, num_channels)
    is_same_number = len(intensities) == num_channels
    return {
        str(c): intensities[str(c) if is_same_number else "0"]
        if schemes[c] == _USES_INTENSITIES
        else own[str(c)]
        for c in range(num_channels)
    }
