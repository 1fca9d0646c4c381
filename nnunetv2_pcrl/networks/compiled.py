"""torch.compile for what a step passes: the stages of every pyramid, one by one and in place."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

# With gradient, without and in evaluation; views of several sizes; one view alone or any number.
MAX_GRAPHS_PER_STAGE = 32


def compile_stages(network: nn.Module, **options: Any) -> None:
    """Has torch compile the stages of pyramids and decoders of a network at their first call.

    A step passes any level, with and without gradient. As a whole, a backbone would be compiled
    again for each of them; its stages are the same for all. Each is compiled for every size of view
    and for any number of views. Names of weights stay, and copies of the network are not compiled.

    Args:
        network: the network, teachers included; a pyramid is what has `write_into`.
        options: of `torch.compile`.
    """
    limit = torch._dynamo.config.cache_size_limit
    torch._dynamo.config.cache_size_limit = max(limit, MAX_GRAPHS_PER_STAGE)
    for pyramid in network.modules():
        if hasattr(pyramid, "write_into") or hasattr(pyramid, "transpconvs"):
            for stage in stages_of(pyramid):
                # What nn.Module.compile sets, and what copies and pickles leave out.
                compiled = torch.compile(_own_code(stage), dynamic=False, **options)
                stage._compiled_call_impl = _of_any_number(compiled)


def stages_of(pyramid: nn.Module) -> list[nn.Module]:
    """What a pyramid or a decoder passes, in any order: stem and stages of either."""
    encoder: Any = getattr(pyramid, "encoder", None)
    stem = getattr(encoder, "stem", None)
    return [
        *([] if stem is None else [stem]),
        *getattr(encoder, "stages", ()),
        *getattr(pyramid, "transpconvs", ()),
        *getattr(pyramid, "stages", ()),
    ]


def _own_code(stage: nn.Module) -> Callable[[Tensor], Tensor]:
    """A function that passes the stage, with code that is no other's.

    torch keeps what it has compiled with the code. Stages that share it would search each other's
    graphs at every call, and soon have more than torch keeps, which it then no longer compiles.
    """

    def passed(x: Tensor) -> Tensor:
        features: Tensor = stage.forward(x)
        return features

    passed.__code__ = passed.__code__.replace()
    return passed


def _of_any_number(compiled: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Lets what is compiled be the same for any number of views above one.

    That number is the lesser one where a batch ends. A size of views that varies is another matter:
    left to itself, torch takes it for any size too, which its compiler cannot always order in
    memory (an error about a truth value), and which takes it longer than a few sizes do.
    """

    def passed(x: Tensor) -> Tensor:
        torch._dynamo.maybe_mark_dynamic(x, 0)
        return compiled(x)

    return passed
