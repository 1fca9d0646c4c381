"""Every method on a GPU: half precision with a scaler, compiled stages, views made there."""

import copy

import pytest
import torch
from method_cases import MethodCase, case_of, facts_of, image_of, method_on, objective_of

from nnunetv2_pcrl.methods.method import Method
from nnunetv2_pcrl.methods.registry import METHODS
from nnunetv2_pcrl.networks.compiled import compile_stages
from nnunetv2_pcrl.training.gradient_cache import Precision, accumulate_gradients
from nnunetv2_pcrl.training.joint_batch import JointBatch
from nnunetv2_pcrl.training.micro_batch import MicroBatch
from nnunetv2_pcrl.training.update import update
from nnunetv2_pcrl.views.channels import Channels
from nnunetv2_pcrl.views.seeding import seeded_generator

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

every_method = pytest.mark.parametrize("kind", METHODS, ids=lambda kind: kind.about.name)
every_geometry = pytest.mark.parametrize("geometry", ["2d", "3d", "anisotropic"])


def on_gpu(kind: type[Method], geometry: str) -> MethodCase:
    """A method's case in single precision on the GPU."""
    case = case_of(kind, geometry)
    batch = {n: v.float() if v.is_floating_point() else v for n, v in case.batch.items()}
    return MethodCase(
        case.method, case.network.float().cuda(), {n: v.cuda() for n, v in batch.items()}
    )


def step_of(case: MethodCase, network: torch.nn.Module, precision: Precision, seed: int = 0):
    objective = objective_of(MethodCase(case.method, network, case.batch), seed=seed)
    micro_batch = MicroBatch(2 * case.method.largest_view)
    numbers = accumulate_gradients(network, case.batch, objective, micro_batch, precision)
    return {name: float(value) for name, value in numbers.items()}


@every_method
@every_geometry
def test_steps_in_half_precision_are_finite_and_near_single_precision(kind, geometry):
    case = on_gpu(kind, geometry)
    expected = step_of(case, copy.deepcopy(case.network), Precision())
    optimizer = case.method.optimizer(case.network)
    scaler = torch.amp.GradScaler("cuda")
    joint = JointBatch(case.method.settings.batch_size)
    updates = 0
    for step in range(12):
        optimizer.zero_grad(set_to_none=True)
        scale = scaler.scale(torch.ones((), device="cuda"))
        precision = Precision(lambda: torch.autocast("cuda"), scale)
        numbers = step_of(case, case.network, precision, seed=step)
        assert all(torch.isfinite(torch.tensor([*numbers.values()])))
        if step == 0:
            assert numbers == pytest.approx(expected, abs=0.05, rel=0.05)
        # Where half precision overflows, the scaler skips the step and halves its scale.
        updates += bool(torch.isfinite(update(case.network, optimizer, scaler, joint)))
        case.method.after_update(case.network, 0.25)
    assert updates >= 4
    assert all(torch.isfinite(value).all() for value in case.network.state_dict().values())


@every_method
@every_geometry
def test_views_made_on_the_gpu_equal_those_made_on_the_cpu(kind, geometry):
    facts = facts_of(geometry, 2)
    recipe, image = method_on(kind, facts).recipe(), image_of(facts)
    for seed in range(3):
        drawn = recipe.draw(image.shape[1:], Channels.unmeasured(2), seeded_generator(seed))
        region = image[(slice(None), *drawn.region.slices)]
        expected = drawn.prepared().make(region)
        for name, values in drawn.prepared().make(region.cuda()).items():
            assert values.is_cuda, name
            torch.testing.assert_close(values.cpu(), expected[name], atol=1e-3, rtol=1e-3)


def gradient_of(network: torch.nn.Module) -> torch.Tensor:
    """The gradients of all parameters in a row."""
    return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])


@pytest.mark.slow
@every_method
def test_compiled_steps_equal_those_that_are_not(kind, monkeypatch):
    # Rounding of products to ten bits grows to a tenth of some gradients on so small maps.
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    case = on_gpu(kind, "2d")
    for autocast, tolerance in ((False, 1e-3), (True, 0.05)):
        precision = Precision(lambda wanted=autocast: torch.autocast("cuda", enabled=wanted))
        exact, plain, compiled = (copy.deepcopy(case.network) for _ in range(3))
        compile_stages(compiled)
        for seed in range(2):
            step_of(case, exact, Precision(), seed)
            expected = step_of(case, plain, precision, seed)
            ours = step_of(case, compiled, precision, seed)
            assert ours == pytest.approx(expected, abs=tolerance, rel=tolerance)
        wanted = gradient_of(exact)
        # In half precision, what compiling changes may not exceed what rounding has changed.
        rounding = (gradient_of(plain) - wanted).norm()
        error = (gradient_of(compiled) - wanted).norm()
        assert error <= 2 * rounding + 1e-3 * wanted.norm()
