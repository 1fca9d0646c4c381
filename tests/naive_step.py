"""The loss of a step as its objective says it, with everything in one graph: what others equal."""

import torch
from torch import Tensor, nn

from nnunetv2_pcrl.methods.objective import Batch, Objective


def naive_numbers(network: nn.Module, batch: Batch, objective: Objective) -> dict[str, Tensor]:
    """All numbers with gradient, every view passed once, whatever memory it takes."""
    numbers, pooled = {}, {}
    for each in objective.passes:
        views = each.of(batch)
        pyramid = getattr(network, each.backbone)(views.flatten(0, 1))
        if each.levels:
            pooled[each.name] = {
                level: pyramid[level].flatten(2).mean(dim=2).unflatten(0, (len(views), -1))
                for level in each.levels
            }
        if each.maps:
            numbers |= objective.of_views(network, each.name, pyramid, batch)
    if pooled:
        tables = {name: batch[name] for name in objective.tables}
        numbers |= objective.of_batch(network, pooled, tables)
    return numbers


def naive_loss(numbers: dict[str, Tensor], objective: Objective) -> Tensor:
    """The weighted sum of the terms."""
    return sum(objective.weights.get(name, 0.0) * value for name, value in numbers.items())


def gradients(network: nn.Module) -> dict[str, Tensor | None]:
    """By name of the parameter."""
    return {name: parameter.grad for name, parameter in network.named_parameters()}


def assert_equal_gradients(ours, expected, tolerance: float = 1e-9) -> None:
    """No gradient and a gradient of zero mean the same."""
    largest = max(float(g.abs().max()) for g in expected.values() if g is not None)
    for name, gradient in expected.items():
        if gradient is None or ours[name] is None:
            for other in (gradient, ours[name]):
                assert other is None or not other.any(), name
            continue
        error = float((ours[name] - gradient).abs().max())
        assert error <= tolerance * max(float(gradient.abs().max()), 1e-3 * largest), name


def own_images(batch: Batch, own: range) -> dict[str, Tensor]:
    """The part of a batch that one process has."""
    return {name: values[:, own.start : own.stop] for name, values in batch.items()}


def random_batch(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, Tensor]:
    """Normal noise in double precision, by name and shape."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(shape, generator=generator, dtype=torch.float64)
        for name, shape in shapes.items()
    }
