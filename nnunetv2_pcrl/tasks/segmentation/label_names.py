"""What a person calls the labels or regions of a segmentation."""

from collections.abc import Mapping, Sequence

# What nnU-Net calls a label or a region.
LabelKey = int | tuple[int, ...]


def label_names(
    keys: Sequence[LabelKey], named: Mapping[str, int | Sequence[int]], taken: str = ""
) -> dict[LabelKey, str]:
    """Names of labels or regions by nnU-Net's key.

    Args:
        keys: labels or regions, as of nnU-Net's label manager.
        named: `"labels"` of dataset.json.
        taken: a word that means something else where the names are used; a label of that name gets
            its number too.
    """
    by_value = {
        int(value) if isinstance(value, int) else tuple(value): name
        for name, value in named.items()
    }
    names = {}
    for key in keys:
        key = key if isinstance(key, tuple) else int(key)
        names[key] = f"{by_value[key]} {key}" if by_value[key] == taken else by_value[key]
    return names
