"""Maps pretrained weights onto a planned network and says what it did."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nnunetv2_pcrl.weights.channels import InputChannels, fit_input_channels
from nnunetv2_pcrl.weights.kernels import fit_kernel
from nnunetv2_pcrl.weights.places import Place, is_alias, places_of
from nnunetv2_pcrl.weights.portable import NO_DECODER, SKIPS
from nnunetv2_pcrl.weights.report import (
    CONVOLUTION_LEFT,
    NOT_WANTED,
    SEGMENTATION_LAYER,
    Entry,
    TransferReport,
)

# What is loaded: the encoder alone, or the decoder too. Where that was trained without skip
# connections, the skip half of its convolutions stays at the network's own initialisation or gets
# the zeros of the non-skip network.
TRANSFER_MODES = ("encoder", "encoder_decoder", "encoder_decoder_zero_skip")
LEAST_ENCODER_SHARE = 0.5


@dataclass(frozen=True)
class _Fitted:
    """A tensor that was made to fit: its value, how, and how many values come from the file."""

    value: Tensor
    how: str
    num_taken: int


class _MisfitError(Exception):
    """Why a tensor of the file cannot take its place."""


@dataclass(frozen=True)
class _Wanted:
    """What is to be loaded: a mode, the channels of both sides, and what the decoder is."""

    mode: str
    channels: InputChannels
    decoder: str | None

    def check(self, name: str) -> None:
        """Passes a tensor of the network over that is not to be loaded."""
        if ".seg_layers." in name:
            raise _MisfitError(SEGMENTATION_LAYER)
        if self.mode == "encoder" and not name.startswith("encoder."):
            raise _MisfitError(f'{NOT_WANTED} "{self.mode}"')

    def never_saw_a_skip(self, weight: Tensor, half: int) -> bool:
        """True for a decoder convolution of a network without skip connections."""
        if self.decoder == SKIPS:
            return False
        if weight.shape[1] == half:
            return True
        return weight.shape[1] == 2 * half and not weight[:, half:].any()


@torch.no_grad()
def transfer_weights(
    source: Mapping[str, Tensor],
    network: nn.Module,
    mode: str = "encoder",
    channels: InputChannels | None = None,
    other_dimension: bool = False,
    remedy: str = "Pretrain with this plan, or use the plan of the pretraining.",
    decoder: str | None = None,
) -> TransferReport:
    """Loads pretrained weights into a planned skip network.

    Tensors are matched by their place: stages by resolution, convolutions by their order in the
    stage. Kernels and input channels are adapted; what has other features is left. A convolution is
    loaded with its bias and norm or not at all. Segmentation layers are never loaded. Nothing is
    changed if the weights are refused.

    Args:
        source: weights of a U-Net of the known shape, under stock names; a decoder without skip
            connections has C instead of 2C inputs in its first convolutions.
        network: the planned network; its tensors are overwritten in place.
        mode: one of `TRANSFER_MODES`.
        channels: names of the input channels; None maps them by their order.
        other_dimension: whether 2D weights may be inflated for a 3D network, and 3D ones summed.
        remedy: what to do if the weights do not fit, for the message.
        decoder: how that of the file was trained, one of `DECODERS`; None tells it by its shapes
            and zeros.

    Raises:
        ValueError: if a decoder is asked for that was not trained, if less than half of the encoder
            would come from the file, if the dimension differs and `other_dimension` is off, or if
            a tensor holds values that are not finite.
    """
    if mode not in TRANSFER_MODES:
        raise ValueError(f"mode must be one of {TRANSFER_MODES}, got {mode!r}")
    if mode != "encoder" and decoder == NO_DECODER:
        raise ValueError(
            f'"transfer": "{mode}" needs a decoder, and the pretraining of these weights trained '
            f'none; use "transfer": "encoder"'
        )
    wanted = _Wanted(mode, channels or InputChannels(), decoder)
    targets = dict(network.named_parameters()) | dict(network.named_buffers())
    if not other_dimension:
        _check_dimension(source, targets)
    places = places_of(targets)
    file_names = _matched(source, targets, places)
    fitted: dict[str, _Fitted] = {}
    reasons: dict[str, str] = {}
    for name, target in targets.items():
        try:
            wanted.check(name)
            file_name = file_names[name]
            if file_name is None:
                raise _MisfitError("the file has no tensor for this place")
            fitted[name] = _fit(source[file_name], target, places.get(name), wanted)
        except _MisfitError as error:
            reasons[name] = str(error)
    _leave_parts_of_left_convolutions(fitted, reasons, places)
    report = _report(source, targets, file_names, fitted, reasons)
    _check_share(report, remedy)
    _check_finite(fitted, targets)
    for name, result in fitted.items():
        targets[name].copy_(result.value)
    return report


def _matched(
    source: Mapping[str, Tensor], targets: Mapping[str, Tensor], places: Mapping[str, Place]
) -> dict[str, str | None]:
    """The tensor of the file for each of the network: at the same place, or of the same name."""
    by_place = {place: name for name, place in places_of(source).items()}
    names = {name: by_place.get(place) for name, place in places.items()}
    for name in targets:
        if name not in places:
            names[name] = name if name in source else None
    return names


def _report(
    source: Mapping[str, Tensor],
    targets: Mapping[str, Tensor],
    file_names: Mapping[str, str | None],
    fitted: Mapping[str, _Fitted],
    reasons: Mapping[str, str],
) -> TransferReport:
    report = TransferReport()
    for name, target in targets.items():
        file_name, result = file_names[name], fitted.get(name)
        file_shape = None if file_name is None else tuple(source[file_name].shape)
        outcome = "left" if result is None else "adapted" if result.how else "loaded"
        reason = reasons[name] if result is None else result.how
        num_taken = 0 if result is None else result.num_taken
        report.entries.append(
            Entry(name, outcome, reason, tuple(target.shape), file_shape, num_taken)
        )
    matched = set(file_names.values())
    report.unused = {
        name: tuple(value.shape)
        for name, value in source.items()
        if name not in matched and not is_alias(name)
    }
    return report


def _fit(value: Tensor, target: Tensor, place: Place | None, wanted: _Wanted) -> _Fitted:
    """A tensor of the file in the shape of the network's."""
    if target.is_floating_point() and not value.is_floating_point():
        raise _MisfitError(f"no floating-point numbers, but {value.dtype}")
    if target.ndim < 3 or place is None:
        if value.shape != target.shape:
            raise _MisfitError("another shape")
        return _Fitted(value, "", target.numel())
    steps = []
    transposed = place.side == "upsampling"
    if value.ndim not in (4, 5) or not value.numel():
        raise _MisfitError("another kind of layer")
    if value.shape[2:] != target.shape[2:]:
        sizes = [tuple(tensor.shape[2:]) for tensor in (value, target)]
        value = fit_kernel(value.float(), target.shape[2:], transposed)
        steps.append(f"kernel {sizes[0]} -> {sizes[1]}")
    if place.is_first_convolution:
        if value.shape[0] != target.shape[0]:
            raise _MisfitError("another number of features")
        value, how = fit_input_channels(value.float(), target.shape[1], wanted.channels)
        return _Fitted(value, ", ".join(filter(None, [*steps, how])), target.numel())
    half = target.shape[1] // 2
    is_widened = place.side == "decoder" and target.shape[1] == 2 * target.shape[0]
    if is_widened and value.shape[0] == target.shape[0] and wanted.never_saw_a_skip(value, half):
        if wanted.mode == "encoder_decoder":
            value = torch.cat([value[:, :half].to(target), target[:, half:]], dim=1)
            how = "upsampled half loaded, skip half as initialised"
            return _Fitted(value, ", ".join([*steps, how]), target.numel() // 2)
        if value.shape[1] == half:
            value = torch.cat([value, torch.zeros_like(value)], dim=1)
            steps.append("skip half at zero")
    if value.shape != target.shape:
        raise _MisfitError("another number of features")
    return _Fitted(value, ", ".join(steps), target.numel())


def _leave_parts_of_left_convolutions(
    fitted: dict[str, _Fitted], reasons: dict[str, str], places: Mapping[str, Place]
) -> None:
    """Bias and norm of a convolution that is left mean nothing without it."""
    names = {place: name for name, place in places.items()}
    for name, place in places.items():
        convolution = names.get(place._replace(unit="conv", tensor="weight"))
        is_unwanted = reasons.get(name, "").startswith(NOT_WANTED)
        if convolution in reasons and convolution != name and not is_unwanted:
            fitted.pop(name, None)
            reasons[name] = f"{CONVOLUTION_LEFT} ({reasons[convolution]})"


def _check_dimension(source: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> None:
    """A 2D network against a 3D one is worth its own sentence."""
    first, second = (
        next(((n, v) for n, v in tensors.items() if v.ndim in (4, 5) and "encoder." in n), None)
        for tensors in (source, targets)
    )
    if first is None or second is None or first[1].ndim == second[1].ndim:
        return
    (name, have), (_, need) = first, second
    raise ValueError(
        f"the pretrained weights are those of a {have.ndim - 2}D network, the planned network is "
        f"{need.ndim - 2}D ({name}: {tuple(have.shape)} against {tuple(need.shape)}). Pretrain "
        f"with the same configuration, or have kernels inflated (2D to 3D) or summed (3D to 2D) "
        f'by "other_dimension": true in section "finetune" of the plans or by --other_dimension '
        f"of nnUNetv2_pcrl_export"
    )


def _check_share(report: TransferReport, remedy: str) -> None:
    if not any(entry.name.startswith("encoder.") for entry in report.entries):
        raise ValueError(
            "the planned network has no encoder to load weights into; plan with one of nnU-Net's "
            "U-Net planners (e.g. -pl ExperimentPlanner or -pl nnUNetPlannerResEncM)"
        )
    share = report.encoder_share()
    if share < LEAST_ENCODER_SHARE:
        raise ValueError(
            f"the pretrained weights do not fit the planned network: only {100 * share:.1f} % of "
            f"the encoder's parameters would come from the file, at least "
            f"{100 * LEAST_ENCODER_SHARE:.0f} % are needed. {report.misfits()}. {remedy}"
        )


def _check_finite(fitted: Mapping[str, _Fitted], targets: Mapping[str, Tensor]) -> None:
    for name, result in fitted.items():
        value = result.value.to(targets[name].dtype)
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ValueError(
                f"the pretrained weights are damaged: {name} holds values that are not finite; "
                f"use an earlier checkpoint of the pretraining"
            )
