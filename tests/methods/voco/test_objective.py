"""The VoCo step against its formulas written out crop by crop, and who gets gradient."""

import math

import pytest
import torch
from planned_networks import planned_network, random_images, shaken
from torch import Tensor

from nnunetv2_pcrl.methods.plan_facts import PlanFacts
from nnunetv2_pcrl.methods.variants import settings_for
from nnunetv2_pcrl.methods.voco.method import VoCo
from nnunetv2_pcrl.methods.voco.network import VoCoNetwork
from nnunetv2_pcrl.methods.voco.objective import FeatureDropout
from nnunetv2_pcrl.training.gradient_cache import Precision, accumulate_gradients, evaluate
from nnunetv2_pcrl.training.micro_batch import MicroBatch

pytestmark = pytest.mark.usefixtures("one_thread")

FACTS = PlanFacts((32, 32), 4, (1.0, 1.0), ((1, 1), (2, 2), (2, 2), (2, 2)), 1)
NUM_QUERIES, GRID, BATCH_SIZE = 2, (2, 3), 3
EPSILON = 1e-6


def method_of(words=(), **settings) -> VoCo:
    given = {"grid": GRID, "batch_size": BATCH_SIZE, "embedding_size": 16, **settings}
    return VoCo(settings_for(VoCo, FACTS, given, words), FACTS)


def network_of(method: VoCo, is_shaken: bool = True) -> VoCoNetwork:
    torch.manual_seed(0)
    network = method.build(planned_network())
    return (shaken(network) if is_shaken else network).double()


def batch_of(batch_size: int = BATCH_SIZE) -> dict[str, Tensor]:
    """Crops of noise with overlaps: the first query has two base crops, the second one."""
    double = {"dtype": torch.float64}
    overlaps = torch.zeros(NUM_QUERIES, batch_size, math.prod(GRID), dtype=torch.float64)
    for image in range(batch_size):
        overlaps[0, image, image], overlaps[0, image, image + 1] = 0.75, 0.25
        overlaps[1, image, 5] = 1.0
    return {
        "queries": random_images(NUM_QUERIES, batch_size, 1, 16, 16, seed=1, **double),
        "bases": random_images(math.prod(GRID), batch_size, 1, 16, 16, seed=2, **double),
        "overlaps": overlaps,
    }


def objective_of(method: VoCo, network: VoCoNetwork, progress: float | None = 0.5, seed: int = 0):
    return method.objective(network, progress, torch.Generator().manual_seed(seed))


def step(method: VoCo, network: VoCoNetwork, batch=None, **kwargs) -> dict[str, Tensor]:
    network.zero_grad(set_to_none=True)
    objective = objective_of(method, network, **kwargs)
    return accumulate_gradients(network, batch or batch_of(), objective, None)


# The formulas, one crop at a time


def literal_features(backbone, crops: Tensor) -> Tensor:
    """[V, B, C], low to high resolution."""
    maps = backbone.encoder(crops.flatten(0, 1))
    pooled = torch.cat([m.mean(dim=(2, 3)) for m in reversed(maps)], dim=1)
    return pooled.unflatten(0, crops.shape[:2])


def literal_embedding(projector, features: Tensor) -> Tensor:
    first, _, _, second, _, _, last = projector.layers
    x = features.flatten(0, 1)
    x = (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()
    for linear in (first, second):
        x = x @ linear.weight.T
        x = (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()
        x = x.clamp(min=0)
    return (x @ last.weight.T + last.bias).unflatten(0, features.shape[:2])


def c(u: Tensor, v: Tensor) -> float:
    return max(0.0, float(u @ v / (u.norm() * v.norm())))


def literal_parts(s, label, form: str) -> tuple[float, float]:
    """Positive and negative term of one image, s and label by query and base crop."""
    above, weight, below, count = 0.0, 0.0, 0.0, 0
    for of_query, labels in zip(s, label, strict=True):
        for value, overlap in zip(of_query, labels, strict=True):
            above -= overlap * math.log(1 - abs(overlap - value) + EPSILON)
            weight += overlap
            if overlap == 0:
                below += -math.log(1 - value + EPSILON) if form == "tpami" else value**2
                count += 1
    return above / (weight + EPSILON), below / (count + EPSILON)


@torch.no_grad()
def literal_numbers(network: VoCoNetwork, batch, form: str) -> dict[str, float]:
    crops = torch.cat([batch["queries"], batch["bases"]])
    features = literal_features(network.backbone, crops)
    student = literal_embedding(network.student, features)
    of_teacher = features
    if form == "cvpr":
        of_teacher = literal_features(network.teacher_backbone, crops)
    teacher = literal_embedding(network.teacher, of_teacher)
    queries, bases = range(NUM_QUERIES), range(NUM_QUERIES, len(crops))
    names = ("positive", "negative", "inter", "regulariser")
    totals = dict.fromkeys(names, 0.0)
    for image in range(BATCH_SIZE):
        u, v = student[:, image], teacher[:, image]
        s = [[c(u[q], v[b]) for b in bases] for q in queries]
        if form == "cvpr":
            s = [[(c(u[q], v[b]) + c(v[q], u[b])) / 2 for b in bases] for q in queries]
        positive, negative = literal_parts(s, batch["overlaps"][:, image].tolist(), form)
        other = (image + 1) % BATCH_SIZE
        label = [[c(v[q], teacher[b, other]) for b in bases] for q in queries]
        predicted = [[c(u[q], student[b, other]) for b in bases] for q in queries]
        pairs = [(i, j) for i in bases for j in bases if i < j]
        found = {
            "positive": positive,
            "negative": negative,
            "inter": sum(literal_parts(predicted, label, form)),
            "regulariser": sum(c(u[i], u[j]) ** 2 for i, j in pairs) / len(pairs),
        }
        for name in names:
            totals[name] += found[name] / BATCH_SIZE
    totals["intra"] = totals["positive"] + totals["negative"]
    return totals


@pytest.mark.parametrize("words", [(), ("cvpr",)], ids=["tpami", "cvpr"])
def test_the_terms_are_those_of_the_formulas(words):
    method = method_of(words, feature_dropout=0.0)
    network, batch = network_of(method), batch_of()
    expected = literal_numbers(network, batch, method.settings.form)
    if words:
        del expected["inter"]
    numbers = step(method, network, batch)
    # The authors add 1e-6 to the logarithms and to what is divided by.
    assert {n: float(v) for n, v in numbers.items()} == pytest.approx(expected, abs=2e-5)


def test_a_network_whose_similarities_are_the_overlaps_has_a_loss_of_nothing():
    method = method_of()
    network = network_of(method)
    objective = objective_of(method, network, None)
    overlap = batch_of()["overlaps"].movedim(0, 1)
    object.__setattr__(objective, "similarity", lambda student, teacher: overlap)
    numbers = evaluate(network, batch_of(), objective, None)
    assert float(numbers["intra"]) == 0.0


# Teachers


@pytest.mark.parametrize("words", [(), ("cvpr",)], ids=["tpami", "cvpr"])
def test_the_teacher_begins_as_a_copy_that_gets_no_gradient(words):
    method = method_of(words)
    network = network_of(method, is_shaken=False)
    copies = [(network.teacher, network.student)]
    if words:
        copies.append((network.teacher_backbone, network.backbone))
    for teacher, student in copies:
        own, others = dict(teacher.named_parameters()), dict(student.named_parameters())
        assert own.keys() == others.keys()
        for name, value in own.items():
            assert torch.equal(value, others[name]) and value is not others[name]
    numbers = step(method, network)
    assert numbers["intra"] > 0
    for teacher, _ in copies:
        assert all(not p.requires_grad and p.grad is None for p in teacher.parameters())
    trained = {id(p) for g in method.optimizer(network).param_groups for p in g["params"]}
    teachers = {id(p) for teacher, _ in copies for p in teacher.parameters()}
    assert not trained & teachers


@pytest.mark.parametrize("words", [(), ("cvpr",)], ids=["tpami", "cvpr"])
def test_the_teacher_moves_after_the_update_and_never_in_a_step_or_in_the_validation(words):
    method = method_of(words)
    network = network_of(method)
    before = {n: v.clone() for n, v in network.state_dict().items() if "teacher" in n}
    step(method, network)
    evaluate(network, batch_of(), objective_of(method, network, None), None)
    now = network.state_dict()
    assert before and all(torch.equal(now[name], value) for name, value in before.items())
    method.after_update(network, 0.5)
    for name, value in before.items():
        student = name.replace("teacher_backbone", "backbone").replace("teacher", "student")
        torch.testing.assert_close(now[name], 0.9 * value + 0.1 * now[student])


# Who gets gradient


def gradient_of_pooled(method: VoCo, network: VoCoNetwork) -> tuple[float, Tensor]:
    """Largest gradient of pooled queries, and that of every base crop."""
    objective, batch = objective_of(method, network), batch_of()
    pooled = {}
    for each in objective.passes:
        crops = each.of(batch)
        with torch.no_grad():
            maps = getattr(network, each.backbone)(crops.flatten(0, 1))
        pooled[each.name] = {
            level: maps[level].mean(dim=(2, 3)).unflatten(0, crops.shape[:2]).requires_grad_()
            for level in each.levels
        }
    numbers = objective.of_batch(network, pooled, {"overlaps": batch["overlaps"]})
    sum(w * numbers[name] for name, w in objective.weights.items() if w).backward()
    queries, bases = (
        torch.cat([p.grad.flatten(2) for p in pooled[name].values()], dim=2)
        for name in ("queries", "bases")
    )
    return float(queries.abs().max()), bases.abs().amax(dim=(1, 2))


def alone(name: str) -> dict[str, float]:
    names = ("intra_weight", "inter_weight", "regulariser_weight")
    return {other: float(other == f"{name}_weight") for other in names}


def test_queries_learn_from_overlaps_and_base_crops_from_the_other_terms():
    # All crops are one population of the normalisation, so a base crop is reached through its
    # statistics as well; without them its share of the intra term would be nothing.
    method = method_of(**alone("inter"))
    queries, bases = gradient_of_pooled(method, network_of(method))
    assert queries > 1e-6 and (bases > 1e-6).all()
    method = method_of(**{**alone("regulariser"), "intra_weight": 1e-9})
    _, bases = gradient_of_pooled(method, network_of(method))
    assert (bases > 1e-6).all()


def test_no_gradient_passes_through_the_teacher():
    method = method_of(**alone("intra"), feature_dropout=0.0)
    network = network_of(method)
    objective = objective_of(method, network)
    features = random_images(NUM_QUERIES + 6, BATCH_SIZE, 44, dtype=torch.float64)
    features.requires_grad_()
    pooled = {
        "queries": {0: features[:NUM_QUERIES]},
        "bases": {0: features[NUM_QUERIES:]},
    }
    student, teacher = objective.embedded(network, pooled)
    assert student.queries.requires_grad and student.bases.requires_grad
    assert not teacher.queries.requires_grad and not teacher.bases.requires_grad


def test_the_inter_term_needs_a_second_image_and_says_so():
    method = method_of()
    network = network_of(method)
    with pytest.raises(ValueError, match="inter term of VoCo needs two images"):
        step(method, network, batch_of(1))
    without = method_of(inter_weight=0.0, batch_size=1)
    assert "inter" not in step(without, network, batch_of(1))


# The projector's population


def test_the_projector_normalises_over_all_crops_and_never_over_the_features_of_one():
    network = network_of(method_of())
    features = random_images(8, 3, 44, dtype=torch.float64)
    hidden = network.student.layers[:2](network.student.norm(features.flatten(0, 1)))
    torch.testing.assert_close(hidden.mean(dim=0), torch.zeros(16, dtype=torch.float64))
    torch.testing.assert_close(
        hidden.var(dim=0, unbiased=False), torch.ones(16, dtype=torch.float64), atol=1e-3, rtol=0
    )
    assert hidden.mean(dim=1).abs().max() > 0.05
    # One crop changes, and so do all others.
    changed = features.clone()
    changed[0, 0] += 1
    assert (network.student(changed) - network.student(features))[1:].abs().min() > 0


# Dropped features


def test_features_are_dropped_and_never_whole_crops():
    factors = FeatureDropout(0.2, 3).factors(torch.ones(11, 8, 200))
    zero = factors == 0
    assert torch.allclose(factors[~zero], torch.tensor(1.25))
    of_crops = zero.float().mean(dim=2)
    assert of_crops.min() > 0.05 and of_crops.max() < 0.4
    assert float(of_crops.mean()) == pytest.approx(0.2, abs=0.01)
    # Other features in every crop.
    assert not torch.equal(zero[0, 0], zero[1, 0]) and not torch.equal(zero[0, 0], zero[0, 1])


def test_dropped_features_are_those_of_the_seed_on_any_number_of_processes():
    features = torch.ones(4, 3, 50)
    factors = FeatureDropout(0.2, 3).factors(features)
    assert torch.equal(factors, FeatureDropout(0.2, 3).factors(features))
    assert not torch.equal(factors, FeatureDropout(0.2, 4).factors(features))


def test_a_dropped_feature_takes_the_value_that_it_has_on_average():
    # Raw features differ little between crops: nothing in place of them would drown the rest.
    network = network_of(method_of())
    features = 5 + 0.1 * random_images(4, 3, 44, dtype=torch.float64)
    factors = torch.ones_like(features)
    factors[0, 0, 7] = 0
    mean = features.clone()
    mean[0, 0, 7] = (features[..., 7].sum() - features[0, 0, 7]) / 11
    seen = network.student.norm(features.flatten(0, 1)).unflatten(0, (4, 3)) * factors
    assert float(seen[0, 0, 7]) == 0
    replaced = network.student.norm(mean.flatten(0, 1)).unflatten(0, (4, 3))
    assert float(replaced[0, 0, 7]) == pytest.approx(0, abs=1e-9)
    expected = network.student.layers(seen.flatten(0, 1)).unflatten(0, (4, 3))
    torch.testing.assert_close(network.student(features, factors), expected)


def test_steps_differ_by_what_they_drop_and_the_validation_drops_nothing():
    method = method_of()
    network = network_of(method)
    assert float(step(method, network)["intra"]) != float(step(method, network, seed=1)["intra"])
    assert objective_of(method, network, None).dropout is None
    assert objective_of(method_of(feature_dropout=0.0), network).dropout is None
    undropped = method_of(feature_dropout=0.0)
    evaluated = evaluate(network, batch_of(), objective_of(method, network, None), None)
    plain = evaluate(network, batch_of(), objective_of(undropped, network), None)
    for name, value in plain.items():
        torch.testing.assert_close(value, evaluated[name])


# Precision, and passes


def test_terms_are_in_single_precision_whatever_the_encoder_runs_in():
    method = method_of()
    network = network_of(method).float()
    batch = {name: values.float() for name, values in batch_of().items()}
    seen = []
    hook = network.student.register_forward_hook(lambda m, i, o: seen.append((i[0].dtype, o.dtype)))
    precision = Precision(lambda: torch.autocast("cpu", torch.bfloat16))
    numbers = accumulate_gradients(
        network, batch, objective_of(method, network), MicroBatch(1), precision
    )
    hook.remove()
    assert set(seen) == {(torch.float32, torch.float32)}
    assert {value.dtype for value in numbers.values()} == {torch.float32}


def test_the_decoder_is_neither_passed_nor_part_of_the_network():
    method = method_of()
    network = network_of(method)
    assert not [name for name in network.state_dict() if "decoder" in name or "seg" in name]
    assert network.backbone.decoder == "none"
    assert not hasattr(network, "teacher_backbone")


# What the validation watches


@torch.no_grad()
def test_placed_queries_and_cosines_are_counted():
    method = method_of()
    network = network_of(method)
    objective = objective_of(method, network, None)
    found = evaluate(network, batch_of(), objective, None)
    pooled = {}
    for each in objective.passes:
        maps = network.backbone(each.of(batch_of()).flatten(0, 1))
        pooled[each.name] = {
            k: maps[k].mean(dim=(2, 3)).unflatten(0, (-1, BATCH_SIZE)) for k in each.levels
        }
    student, teacher = objective.embedded(network, pooled)
    overlap = batch_of()["overlaps"]
    placed, matching = [], []
    for image in range(BATCH_SIZE):
        for query in range(NUM_QUERIES):
            q = student.queries[image, query]
            cosine = [float(q @ b / (q.norm() * b.norm())) for b in teacher.bases[image].unbind()]
            true = overlap[query, image].tolist()
            best = max(range(6), key=true.__getitem__)
            placed.append(max(range(6), key=cosine.__getitem__) == best)
            matching.append(cosine[best])
    assert float(found["placed"]) == pytest.approx(sum(placed) / len(placed))
    assert float(found["cosine_matching"]) == pytest.approx(sum(matching) / len(matching))
