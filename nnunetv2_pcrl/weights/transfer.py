"""Maps pretrained weights onto a planned network and says what it did."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

# What is loaded: the encoder alone, or the decoder too with the skip half of its convolutions
# at the network's own initialisation or at the zeros of the non-skip network.
TRANSFER_MODES = ("encoder", "encoder_decoder", "encoder_decoder_zero_skip")


@dataclass
class TransferReport:
    """What happened to every parameter of the target network.

    Attributes:
        loaded: names of parameters that were loaded whole.
        adapted: names of parameters that were loaded in part, with how.
        left: names of parameters that stay as initialised, with why.
        num_values: values of every parameter.
        num_taken: how many of them come from the file.
    """

    loaded: list[str] = field(default_factory=list)
    adapted: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    num_values: dict[str, int] = field(default_factory=dict)
    num_taken: dict[str, int] = field(default_factory=dict)

    def groups(self) -> dict[str, dict[str, list[int]]]:
        """Per group of layers: [tensors, values] that were loaded, adapted and left.

        Values of an adapted tensor that do not come from the file count as left.
        """
        table: dict[str, dict[str, list[int]]] = {}
        for kind in ("loaded", "adapted", "left"):
            for name in getattr(self, kind):
                row = table.setdefault(
                    group_of(name), {"loaded": [0, 0], "adapted": [0, 0], "left": [0, 0]}
                )
                taken = self.num_taken.get(name, 0)
                row[kind][0] += 1
                row[kind][1] += taken
                row["left"][1] += self.num_values[name] - taken
        return table

    def summary(self) -> str:
        """One line with the share of values that come from the file."""
        total, taken = sum(self.num_values.values()), sum(self.num_taken.values())
        return (
            f"{len(self.loaded)} tensors loaded, {len(self.adapted)} adapted, {len(self.left)} "
            f"left as initialised; {taken:,} of {total:,} parameters ({100 * taken / total:.1f} %) "
            f"come from the file"
        )

    def lines(self) -> list[str]:
        """The report as text: a table per group, then the reasons, then the summary."""
        lines = [f"{'group':<20}{'loaded':>18}{'adapted':>18}{'as initialised':>18}"]
        for group, row in self.groups().items():
            cells = "".join(f"{f'{t} ({v:,})':>18}" for t, v in row.values())
            lines.append(f"{group:<20}{cells}")
        for kind in ("adapted", "left"):
            reasons: dict[str, list[str]] = {}
            for name, reason in getattr(self, kind).items():
                reasons.setdefault(reason, []).append(name)
            for reason, names in reasons.items():
                shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
                lines.append(f"{kind}: {len(names)} tensors: {reason} ({shown})")
        return [*lines, self.summary()]


def group_of(name: str) -> str:
    """The group of layers that a parameter belongs to, for the report."""
    for pattern, group in (
        (r"encoder\.stem\.", "encoder stem"),
        (r"encoder\.stages\.(\d+)\.", "encoder stage {}"),
        (r"decoder\.(?:transpconvs|stages)\.(\d+)\.", "decoder level {}"),
        (r"decoder\.seg_layers\.", "segmentation heads"),
    ):
        match = re.match(pattern, name)
        if match:
            return group.format(*match.groups())
    return "other"


@torch.no_grad()
def transfer_weights(
    source: Mapping[str, Tensor], network: nn.Module, mode: str = "encoder"
) -> TransferReport:
    """Loads pretrained weights into a planned skip network.

    Segmentation layers are never loaded. Nothing is changed if the weights do not fit.

    Args:
        source: weights under the stock names of a planned skip network.
        network: the planned network; its parameters are overwritten in place.
        mode: one of `TRANSFER_MODES`.

    Raises:
        ValueError: naming tensors and both shapes, if the weights do not fit the network.
    """
    if mode not in TRANSFER_MODES:
        raise ValueError(f"mode must be one of {TRANSFER_MODES}, got {mode!r}")
    parameters = dict(network.named_parameters()) | dict(network.named_buffers())
    wanted = {name: value for name, value in parameters.items() if _is_wanted(name, mode)}
    _check_fit(source, wanted)

    report = TransferReport(num_values={n: v.numel() for n, v in parameters.items()})
    for name, value in parameters.items():
        if name not in wanted:
            report.left[name] = (
                "segmentation layer" if "seg_layers" in name else f'not part of "{mode}"'
            )
        elif mode == "encoder_decoder" and _has_empty_skip_half(name, source[name]):
            half = value.shape[1] // 2
            value[:, :half].copy_(source[name][:, :half])
            report.adapted[name] = "upsampled half loaded, skip half as initialised"
            report.num_taken[name] = value.numel() // 2
        else:
            value.copy_(source[name])
            report.loaded.append(name)
            report.num_taken[name] = value.numel()
    return report


def _is_wanted(name: str, mode: str) -> bool:
    if name.startswith("encoder."):
        return True
    return mode != "encoder" and name.startswith("decoder.") and ".seg_layers." not in name


def _has_empty_skip_half(name: str, weight: Tensor) -> bool:
    """True for a widened decoder convolution that never saw a skip connection."""
    if not re.match(r"decoder\.stages\.\d+\.", name) or weight.ndim < 3 or weight.shape[1] % 2:
        return False
    return not weight[:, weight.shape[1] // 2 :].any()


def _check_fit(source: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    if any(name.startswith("backbone.") for name in source):
        raise ValueError(
            "these are the weights of a pretraining checkpoint; use the pretrained_weights.pth "
            "that lies beside it"
        )
    _check_dimension(source, wanted)
    missing = [name for name in wanted if name not in source]
    odd = [
        f"{name}: weights {tuple(source[name].shape)}, network {tuple(value.shape)}"
        for name, value in wanted.items()
        if name in source and source[name].shape != value.shape
    ]
    if not missing and not odd:
        return
    problems = []
    if odd:
        problems.append(f"{len(odd)} tensors have another shape ({_first(odd, '; ')})")
    if missing:
        problems.append(f"{len(missing)} are missing ({_first(missing, ', ')})")
    raise ValueError(
        f"the pretrained weights do not fit the planned network: of {len(wanted)} tensors "
        f"{' and '.join(problems)}. They were made for another plan or architecture; pretrain with "
        f"this data set's plans and configuration (-tr PCRLv2PretrainTrainer), or give this data "
        f"set the plans of the pretraining (nnUNetv2_move_plans_between_datasets)."
    )


def _check_dimension(source: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """A 2D network against a 3D one is worth its own sentence."""
    for name, value in wanted.items():
        if name in source and value.ndim in (4, 5) and source[name].ndim in (4, 5):
            have, need = source[name].ndim - 2, value.ndim - 2
            if have != need:
                raise ValueError(
                    f"the pretrained weights are those of a {have}D network, the planned network "
                    f"is {need}D ({name}: {tuple(source[name].shape)} against "
                    f"{tuple(value.shape)}); pretrain with the same configuration"
                )


def _first(items: list[str], separator: str, count: int = 3) -> str:
    return separator.join(items[:count]) + (f"{separator}..." if len(items) > count else "")
