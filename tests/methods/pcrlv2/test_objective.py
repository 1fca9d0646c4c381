"""The PCRLv2 step with real small networks, against the loss written out view by view."""

import re
from collections import Counter
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from naive_step import naive_numbers
from planned_networks import GEOMETRIES, pretraining_network, random_images, shaken
from torch import Tensor

from nnunetv2_pcrl.methods.pcrlv2.loss import Levels, draw_levels
from nnunetv2_pcrl.methods.pcrlv2.network import PCRLv2Network
from nnunetv2_pcrl.methods.pcrlv2.objective import PCRLv2Objective, loss_weights
from nnunetv2_pcrl.training.gradient_cache import evaluate

# Below the rounding error of half precision, differences between images are noise.
COLLAPSE_BELOW = 1e-3

CHANNELS = {"2d": 3, "3d": 1, "anisotropic": 2}
NUM_LEVELS = 3
BETA = 0.7


def make_network(architecture: str = "PlainConvUNet", geometry: str = "2d") -> PCRLv2Network:
    return shaken(pretraining_network(architecture, geometry, CHANNELS[geometry]).double())


Views = dict[str, Tensor]


def make_views(geometry: str = "2d", batch_size: int = 3, num_local: int = 2) -> Views:
    plan, channels = GEOMETRIES[geometry], CHANNELS[geometry]
    arguments = {"dtype": torch.float64}
    return {
        "target": random_images(1, batch_size, channels, *plan.global_size, seed=1, **arguments),
        "global_views": random_images(
            2, batch_size, channels, *plan.global_size, seed=2, **arguments
        ),
        "local_views": random_images(
            num_local, batch_size, channels, *plan.local_size, seed=3, **arguments
        ),
    }


def step(network: PCRLv2Network, views: Views, levels: Levels) -> SimpleNamespace:
    """All numbers of a step, and the loss at a weight beta."""
    numbers = naive_numbers(network, views, PCRLv2Objective(levels, {}))

    def total(beta: float = 1.0) -> Tensor:
        return sum(weight * numbers[name] for name, weight in loss_weights(1.0, beta, 1.0).items())

    return SimpleNamespace(**numbers, numbers=numbers, total=total)


# The formula of the paper, one view at a time


def literal_pyramid(network: PCRLv2Network, x: Tensor) -> list[Tensor]:
    backbone = network.backbone
    x = backbone.encoder(x)[-1]
    pyramid = []
    for upsample, stage in zip(backbone.transpconvs, backbone.stages, strict=True):
        x = stage(upsample(x))
        pyramid.append(x)
    return pyramid


def literal_norm(x: Tensor, norm: torch.nn.BatchNorm1d) -> Tensor:
    variance = (x - x.mean(dim=0)).square().mean(dim=0)
    return (x - x.mean(dim=0)) / (variance + 1e-5).sqrt() * norm.weight + norm.bias


def literal_embedding(network: PCRLv2Network, level: int, pooled: Tensor) -> tuple[Tensor, Tensor]:
    first, norm, _, last = network.predictions[level].layers
    z = literal_norm(pooled, network.projections[level].norm)
    hidden = literal_norm(z @ first.weight.T + first.bias, norm).clamp(min=0)
    return z, hidden @ last.weight.T + last.bias


def literal_comparison(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> Tensor:
    def cosine(p: Tensor, z: Tensor) -> Tensor:
        return (p * z).sum(dim=1) / (p.square().sum(dim=1) * z.square().sum(dim=1)).sqrt()

    (z_a, p_a), (z_b, p_b) = first, second
    return -0.5 * (cosine(p_a, z_b.detach()) + cosine(p_b, z_a.detach())).mean()


def literal_loss(
    network: PCRLv2Network, views: Views, levels: Levels, beta: float
) -> tuple[Tensor, list[Tensor]]:
    """L and its four terms."""

    def pool(pyramid: list[Tensor], level: int) -> Tensor:
        return pyramid[level].mean(dim=tuple(range(2, pyramid[level].ndim)))

    d_0, d_1 = (literal_pyramid(network, view) for view in views["global_views"])
    d_local = [literal_pyramid(network, view) for view in views["local_views"]]

    def global_view(pyramid: list[Tensor], level: int) -> tuple[Tensor, Tensor]:
        return literal_embedding(network, level, pool(pyramid, level))

    def local_view(n: int, level: int) -> tuple[Tensor, Tensor]:
        pooled = torch.cat([pool(pyramid, level) for pyramid in d_local])
        both = literal_embedding(network, level, pooled)
        return tuple(part.chunk(len(d_local))[n] for part in both)

    k = levels.shared
    target = views["target"][0]
    mode = "bilinear" if target.ndim == 4 else "trilinear"
    r_full = (network.restoration(d_0[-1]) - target).square().mean()
    low = network.level_restorations[k](d_0[k])
    r_k = (F.interpolate(low, size=target.shape[2:], mode=mode) - target).square().mean()
    s_global = literal_comparison(global_view(d_0, k), global_view(d_1, k))
    s_local = 0
    for n, (a, b) in enumerate(levels.local):
        s_local = s_local + literal_comparison(global_view(d_0, a), local_view(n, a))
        s_local = s_local + literal_comparison(global_view(d_1, b), local_view(n, b))
    s_local = s_local / (2 * len(levels.local))
    return r_full + beta * r_k + s_global + s_local, [r_full, r_k, s_global, s_local]


def gradients(loss: Tensor, network: PCRLv2Network) -> dict[str, Tensor | None]:
    names, parameters = zip(*network.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(loss, parameters, allow_unused=True), strict=True))


@pytest.mark.parametrize("architecture", ["PlainConvUNet", "ResidualEncoderUNet"])
@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("shared", range(NUM_LEVELS))
def test_the_step_equals_the_loss_written_out_with_all_gradients(architecture, geometry, shared):
    network, views = make_network(architecture, geometry), make_views(geometry)
    levels = Levels(shared, ((2, 0), (1, 1)))
    expected, expected_terms = literal_loss(network, views, levels, BETA)
    terms = step(network, views, levels)
    total = terms.total(BETA)
    ours = [
        terms.restoration,
        terms.level_restoration,
        terms.global_comparison,
        terms.local_comparison,
    ]
    torch.testing.assert_close(ours, expected_terms, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(total, expected, rtol=1e-10, atol=1e-12)
    expected_gradients = gradients(expected, network)
    for name, gradient in gradients(total, network).items():
        torch.testing.assert_close(
            gradient, expected_gradients[name], rtol=1e-7, atol=1e-11, msg=name
        )


def test_the_step_equals_the_loss_written_out_with_six_crops_and_drawn_levels():
    network, views = make_network(), make_views(num_local=6, batch_size=4)
    generator = torch.Generator().manual_seed(5)
    for _ in range(4):
        levels = draw_levels(network.num_levels, 6, generator)
        expected, _ = literal_loss(network, views, levels, BETA)
        total = step(network, views, levels).total(BETA)
        torch.testing.assert_close(total, expected, rtol=1e-10, atol=1e-12)


def test_every_local_crop_receives_gradient():
    # Trap 3.
    views = make_views(num_local=4)
    local_views = views["local_views"].clone().requires_grad_()
    levels = Levels(0, ((0, 1), (2, 2), (1, 0), (0, 0)))
    result = step(make_network(), {**views, "local_views": local_views}, levels)
    result.local_comparison.backward()
    assert local_views.grad.flatten(2).abs().amax(dim=2).min() > 1e-8


def test_only_the_first_global_view_is_restored():
    views = make_views()
    inputs = views["global_views"].clone().requires_grad_()
    levels = Levels(1, ((0, 0), (0, 0)))
    terms = step(make_network(), {**views, "global_views": inputs}, levels)
    (terms.restoration + terms.level_restoration).backward(retain_graph=True)
    assert inputs.grad[0].any() and not inputs.grad[1].any()
    terms.global_comparison.backward()
    assert inputs.grad[1].any()


@pytest.mark.parametrize("shared", range(NUM_LEVELS))
def test_comparison_and_level_restoration_use_the_same_level(shared):
    # Trap 5.
    network = make_network()
    other = (shared + 1) % NUM_LEVELS
    terms = step(network, make_views(), Levels(shared, ((other, other),) * 2))
    (terms.level_restoration + terms.global_comparison).backward()
    for heads in (network.level_restorations, network.projections, network.predictions):
        reached = [any(p.grad is not None for p in head.parameters()) for head in heads]
        assert reached == [level == shared for level in range(NUM_LEVELS)]


def test_the_local_term_is_averaged_over_the_crops():
    # Trap 4: twice the same crops have the same batch statistics and the same mean.
    network, views = make_network(), make_views()
    levels = Levels(0, ((0, 1), (2, 1)))
    twice = {**views, "local_views": torch.cat([views["local_views"]] * 2)}
    once = step(network, views, levels).local_comparison
    again = step(network, twice, Levels(0, levels.local * 2)).local_comparison
    torch.testing.assert_close(again, once)


# Three populations of batch normalisation


def population_sizes(network: PCRLv2Network, views: Views, level: int) -> Counter:
    """Sizes of the batches that the prediction head of a level sees in one step."""
    sizes = Counter()
    hook = network.predictions[level].register_forward_hook(
        lambda _module, inputs, _output: sizes.update([len(inputs[0])])
    )
    num_local = len(views["local_views"])
    step(network, views, Levels(level, ((level, level),) * num_local))
    hook.remove()
    return sizes


def test_both_global_views_and_all_crops_together_are_three_populations():
    assert population_sizes(make_network(), make_views(num_local=4), level=1) == {3: 2, 12: 1}


def test_changing_one_crop_changes_nothing_but_the_local_comparison():
    network, views = make_network(), make_views()
    levels = Levels(1, ((1, 1), (1, 1)))
    changed = views["local_views"].clone()
    changed[1, 0] *= 2
    changed[1, 0, :, :4] += 3
    before = step(network, views, levels)
    after = step(network, {**views, "local_views": changed}, levels)
    assert torch.equal(after.restoration, before.restoration)
    assert torch.equal(after.level_restoration, before.level_restoration)
    assert torch.equal(after.global_comparison, before.global_comparison)
    assert not torch.equal(after.local_comparison, before.local_comparison)


def test_the_crops_are_normalised_jointly():
    # Were crop n a population of its own, the first comparison would know nothing of crop 1.
    network = make_network()
    views = make_views()
    local_views = views["local_views"].clone().requires_grad_()
    seen = []
    hook = network.projections[1].register_forward_hook(
        lambda _module, _inputs, output: seen.append(output)
    )
    step(network, {**views, "local_views": local_views}, Levels(1, ((1, 1),) * 2))
    hook.remove()
    (z,) = (output for output in seen if len(output) == 6)
    of_crop_0 = z.unflatten(0, (2, 3))[0]
    of_crop_0.square().sum().backward()
    assert local_views.grad[1].any()


def test_the_three_populations_do_not_depend_on_the_order_of_training_and_validation():
    network, views = make_network(), make_views()
    levels = Levels(1, ((0, 2), (2, 0)))
    training = step(network.train(), views, levels).total()
    validation = step(network.eval(), views, levels).total()
    assert torch.equal(training, validation)


def test_a_batch_of_one_image_is_refused():
    with pytest.raises(ValueError, match="more than 1 value"):
        step(make_network(), make_views(batch_size=1), Levels(0, ((0, 0),) * 2))


# What is computed


@pytest.mark.parametrize(
    ("levels", "calls"),
    [
        (Levels(0, ((2, 0), (0, 0))), [3, 2, 2]),
        (Levels(0, ((0, 1), (0, 0))), [3, 3, 1]),
        (Levels(1, ((0, 0), (0, 0))), [3, 2, 1]),
        (Levels(2, ((2, 2), (2, 2))), [3, 3, 3]),
    ],
)
def test_levels_that_nobody_asks_for_are_not_computed(levels, calls):
    # v0 is always computed to the end, for the full restoration.
    network = make_network()
    counts = Counter()
    for level, stage in enumerate(network.backbone.stages):
        stage.register_forward_hook(lambda *_, level=level: counts.update([level]))
    objective = PCRLv2Objective(levels, loss_weights(1.0, 1.0, 1.0))
    evaluate(network, make_views(), objective, None)
    assert [counts[level] for level in range(NUM_LEVELS)] == calls


def test_heads_of_levels_that_nobody_asks_for_are_not_called():
    network = make_network()
    sizes = {level: Counter() for level in range(NUM_LEVELS)}
    for level, head in enumerate(network.predictions):
        head.register_forward_hook(
            lambda _module, inputs, _output, level=level: sizes[level].update([len(inputs[0])])
        )
    # v0 at levels 0 and 1, v1 at 0, crops at 0 and 1: images of a batch are 3, crops 6.
    step(network, make_views(), Levels(0, ((1, 0), (0, 0))))
    assert sizes == {0: {3: 2, 6: 1}, 1: {3: 1, 6: 1}, 2: {}}


def test_every_view_passes_the_encoder_once():
    network, views = make_network(), make_views(num_local=4)
    sizes = []
    network.backbone.encoder.stages[0].register_forward_hook(
        lambda _module, inputs, _output: sizes.append(len(inputs[0]))
    )
    step(network, views, Levels(1, ((0, 1),) * 4))
    assert sum(sizes) == 3 * (2 + 4)


def test_the_spreads_are_those_of_the_first_global_view_without_gradient():
    network, views = make_network(), make_views()
    numbers = step(network, views, Levels(0, ((1, 0), (2, 0)))).numbers
    pyramid = literal_pyramid(network, views["global_views"][0])
    for level in range(NUM_LEVELS):
        spread = numbers[f"z_std_level_{level}"]
        pooled = pyramid[level].mean(dim=(2, 3))
        z = literal_norm(pooled, network.projections[level].norm)
        unit = z / z.norm(dim=1, keepdim=True)
        expected = unit.var(dim=0, unbiased=False).sqrt().mean() * z.shape[1] ** 0.5
        torch.testing.assert_close(spread, expected)
        deviation = pooled.var(dim=0, unbiased=False).sqrt().mean()
        expected = deviation / pooled.abs().mean()
        of_features = numbers[f"feature_spread_level_{level}"]
        torch.testing.assert_close(of_features, expected)
        assert not spread.requires_grad and not of_features.requires_grad


def test_views_are_not_modified():
    views = make_views()
    before = {name: values.clone() for name, values in views.items()}
    step(make_network(), views, Levels(2, ((0, 1), (2, 2))))
    for name, values in views.items():
        assert torch.equal(values, before[name])


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["PlainConvUNet", "ResidualEncoderUNet", "ResidualUNet"])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_every_parameter_gets_gradient_in_a_run_over_all_levels(architecture, geometry):
    network, views = make_network(architecture, geometry), make_views(geometry)
    total = sum(
        step(network, views, Levels(level, ((level, level),) * 2)).total(BETA)
        for level in range(NUM_LEVELS)
    )
    without = {
        name
        for name, gradient in gradients(total, network).items()
        if gradient is None or gradient.abs().max() < 1e-10
    }
    # Biases that the next normalisation subtracts again. That of the projection shifts the target
    # branch, which is stopped, and the input of the prediction, whose normalisation removes it.
    no_effect = re.compile(
        r"backbone\..*conv\.bias|projections\.\d\.norm\.bias|predictions\.\d\.layers\.0\.bias"
    )
    assert [name for name in without if not no_effect.fullmatch(name)] == []


# Learning


def smooth_images(batch_size: int, seed: int) -> Tensor:
    """Z-scored images of 24 x 24 pixels that a narrow bottleneck can hold."""
    low = random_images(batch_size, 1, 3, 3, seed=seed)
    images = F.interpolate(low, size=(24, 24), mode="bicubic")
    mean, std = images.mean(dim=(1, 2, 3), keepdim=True), images.std(dim=(1, 2, 3), keepdim=True)
    return (images - mean) / std


@pytest.mark.usefixtures("one_thread")
@pytest.mark.slow
def test_on_one_batch_the_restoration_falls_and_the_projections_stay_apart():
    network = pretraining_network(features_per_stage=[8, 16, 32, 32])
    target = smooth_images(8, seed=0)
    corrupted = torch.stack([target, target.roll(4, dims=3)])
    corrupted = corrupted + 0.25 * random_images(*corrupted.shape, seed=1)
    crops = torch.stack([target[..., :16, :16], target[..., 8:, 8:]])
    views = {
        "target": target[None],
        "global_views": corrupted,
        "local_views": crops + 0.25 * random_images(*crops.shape, seed=2),
    }
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    generator = torch.Generator().manual_seed(0)

    restorations, comparisons = [], []
    for _ in range(40):
        result = step(network, views, draw_levels(network.num_levels, 2, generator))
        optimizer.zero_grad()
        result.total().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 12)
        optimizer.step()
        restorations.append(result.restoration.item())
        comparisons.append((result.global_comparison + result.local_comparison).item())

    assert restorations[-1] < 0.5 * restorations[0]
    assert sum(comparisons[-5:]) / 5 < sum(comparisons[:5]) / 5 - 0.5
    assert min(spreads_of(result, "z_std")) > 0.5


def spreads_of(result: SimpleNamespace, name: str) -> list[float]:
    return [float(v) for n, v in result.numbers.items() if n.startswith(f"{name}_level")]


def test_the_spread_is_near_zero_when_all_images_have_nearly_the_same_features():
    # What the collapse warning looks at. These features differ by a millionth of their size.
    network, views = pretraining_network(input_channels=3).double(), make_views(batch_size=8)
    noise = 1e-6 * random_images(*views["global_views"][0].shape, seed=4, dtype=torch.float64)
    same = views["global_views"][:, :1] + noise
    levels = Levels(0, ((0, 0),) * 2)
    result = step(network, {**views, "global_views": same}, levels)
    assert max(spreads_of(result, "feature_spread")) < COLLAPSE_BELOW
    # The batch normalisation before the projections hides it from them.
    assert min(spreads_of(result, "z_std")) > 0.5
    healthy = step(network, views, levels)
    assert min(spreads_of(healthy, "feature_spread")) > COLLAPSE_BELOW
