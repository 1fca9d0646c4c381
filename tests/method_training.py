"""A few steps of a method on one batch: whether it learns."""

from torch import nn

from nnunetv2_pcrl.methods.method import Method
from nnunetv2_pcrl.methods.objective import Batch
from nnunetv2_pcrl.training.gradient_cache import accumulate_gradients
from nnunetv2_pcrl.views.seeding import seeded_generator


def numbers_of_training(
    method: Method, network: nn.Module, batch: Batch, num_steps: int, progress: float = 0.3
) -> list[dict[str, float]]:
    """The numbers of every step, with the method's own optimiser and what follows an update."""
    optimizer = method.optimizer(network)
    found = []
    for step in range(num_steps):
        optimizer.zero_grad(set_to_none=True)
        objective = method.objective(network, progress, seeded_generator(step))
        numbers = accumulate_gradients(network, batch, objective, None)
        nn.utils.clip_grad_norm_(network.parameters(), 12)
        optimizer.step()
        method.after_update(network, progress)
        found.append({name: float(value) for name, value in numbers.items()})
    return found
