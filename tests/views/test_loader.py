"""From cases to batches: the same samples whoever makes them, and no step on an unusable case."""

import dataclasses
import itertools
import multiprocessing
import pickle
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from recipes import changed, recipe

from nnunetv2_pcrl.views import loader
from nnunetv2_pcrl.views.channels import Channels
from nnunetv2_pcrl.views.loader import BatchStream
from nnunetv2_pcrl.views.samples import (
    TRAINING_STREAM,
    VALIDATION_STREAM,
    RegionSample,
    StreamPosition,
    ViewSamples,
)

pytestmark = pytest.mark.usefixtures("one_thread")

# Few swaps and local views: these tests are about who makes which sample.
IN_2D = recipe(
    (16, 16), (8, 8), (0.8, 0.8), num_local=3, swapped_part=0.0, num_cut_outs=3, contrast=0.4
)
IN_3D = recipe((8, 8, 8), (4, 4, 4), (1.0, 1.0, 1.0), num_local=3, swapped_part=0.05)
ANISOTROPIC = recipe((4, 16, 16), (2, 8, 8), (5.0, 0.8, 0.8), num_local=3, swapped_part=0.05)
SETTINGS = [
    pytest.param(IN_2D, id="2d"),
    pytest.param(IN_3D, id="3d"),
    pytest.param(ANISOTROPIC, id="anisotropic"),
]
# Where another number of axes repeats the same path.
FIRST_IN_2D = [
    SETTINGS[0],
    pytest.param(IN_3D, id="3d", marks=pytest.mark.slow),
    pytest.param(ANISOTROPIC, id="anisotropic", marks=pytest.mark.slow),
]
CLEAN = {
    "rotation_degrees": 0.0,
    "deformation_scale": 0.0,
    "num_cut_outs": 0,
    "blur_sigma": 0.0,
    "noise_std": 0.0,
    "log_gamma": 0.0,
    "contrast": 0.0,
}
NAMES = [f"case_{number}" for number in range(5)]
CPU = torch.device("cpu")
TENSORS = ("target", "global_views", "local_views")


def noise(shape, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture
def folder(tmp_path, write_case):
    """Five cases of two channels, of different sizes, without labels."""
    for number, name in enumerate(NAMES):
        write_case(tmp_path, name, noise((2, 6 + number, 24, 30 - number), number))
    return tmp_path


def samples_of(folder, settings=ANISOTROPIC, names=NAMES, batch_size=4, num_channels=2, **position):
    position = StreamPosition(**{"seed": 0, "stream": TRAINING_STREAM} | position)
    channels = Channels.unmeasured(num_channels)
    return ViewSamples(folder, names, batch_size, settings, channels, position)


def stream_of(samples, num_workers: int = 0) -> BatchStream:
    return BatchStream(samples, num_workers, CPU)


def take(samples, number: int) -> list[dict]:
    """The first samples of a stream, or its first batches."""
    if isinstance(samples, ViewSamples):
        return [samples[i] for i in itertools.islice(samples.position.numbers(), number)]
    return list(itertools.islice(samples, number))


def assert_equal(samples, others) -> None:
    for sample, other in zip(samples, others, strict=True):
        assert sample.keys() == other.keys()
        for key, value in sample.items():
            if key == "views":
                assert value.keys() == other[key].keys()
                assert all(torch.equal(value[name], other[key][name]) for name in value)
            else:
                assert value == other[key], key


def differ(sample: dict, other: dict) -> bool:
    return not torch.equal(sample["views"]["target"], other["views"]["target"])


# Which sample is which


def test_a_sample_does_not_depend_on_the_ones_before_it_or_on_the_global_seeds(folder):
    samples = samples_of(folder)
    expected = samples[7]
    torch.manual_seed(5)
    np.random.seed(5)
    samples[2]
    assert_equal([samples[7]], [expected])


def test_the_order_in_which_cases_are_named_does_not_matter(folder):
    assert_equal(
        take(samples_of(folder, names=NAMES[::-1]), 4), take(samples_of(folder, names=NAMES), 4)
    )


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_resumed_stream_goes_on_where_it_stopped(folder, num_workers):
    whole = take(stream_of(samples_of(folder)), 3)
    resumed = stream_of(samples_of(folder, first=8), num_workers)
    assert_equal([next(resumed)], whole[2:])
    resumed.close()


@pytest.mark.slow
@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_stream_with_a_period_repeats_exactly(folder, num_workers):
    stream = stream_of(samples_of(folder, stream=VALIDATION_STREAM, period=8), num_workers)
    batches = take(stream, 5)
    stream.close()
    assert_equal(batches[2:4], batches[:2])
    assert_equal(batches[4:], batches[:1])
    samples = take(samples_of(folder, stream=VALIDATION_STREAM, period=8), 8)
    assert all(differ(a, b) for a, b in itertools.combinations(samples, 2))


def test_a_stream_without_a_period_does_not_repeat(folder):
    samples = take(samples_of(folder, IN_2D), 20)
    assert all(
        differ(a, b) for a, b in itertools.combinations(samples, 2) if a["case"] == b["case"]
    )


def test_seeds_and_streams_draw_other_samples(folder):
    first = take(samples_of(folder), 4)
    for changes in ({"seed": 1}, {"stream": VALIDATION_STREAM}):
        other = take(samples_of(folder, **changes), 4)
        assert all(differ(a, b) for a, b in zip(first, other, strict=True))


# Cases of a batch


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [2, 5])
def test_a_batch_holds_distinct_cases_while_there_are_enough(folder, batch_size):
    stream = stream_of(samples_of(folder, IN_2D, batch_size=batch_size))
    batches = [batch["cases"] for batch in take(stream, 8)]
    assert all(len(set(cases)) == batch_size for cases in batches)
    assert {case for cases in batches for case in cases} == set(NAMES)
    assert len({tuple(cases) for cases in batches}) > 5


@pytest.mark.slow
@pytest.mark.parametrize(("batch_size", "num_cases"), [(6, 5), (11, 5), (8, 2), (4, 1)])
def test_a_batch_larger_than_the_data_set_holds_all_cases_equally_often(
    folder, batch_size, num_cases
):
    names = NAMES[:num_cases]
    stream = stream_of(samples_of(folder, IN_2D, names, batch_size=batch_size))
    for batch in take(stream, 3):
        counts = [batch["cases"].count(name) for name in names]
        assert min(counts) == batch_size // num_cases
        assert max(counts) <= min(counts) + 1


# Slices


@pytest.mark.slow
@pytest.mark.parametrize("depth", [1, 5])
def test_2d_views_come_from_every_slice_the_first_and_the_last_included(
    depth, tmp_path, write_case
):
    slices = np.arange(depth, dtype=np.float32).reshape(1, depth, 1, 1)
    write_case(tmp_path, "case", slices + 0.01 * noise((1, depth, 24, 24)))
    samples = samples_of(tmp_path, changed(IN_2D, **CLEAN), ["case"], num_channels=1)
    seen = []
    for sample in take(samples, 60):
        values = torch.cat([sample["views"][name].flatten() for name in TENSORS])
        assert values.std() < 0.1
        seen.append(round(values.mean().item()))
    assert set(seen) == set(range(depth))
    assert min(seen.count(number) for number in range(depth)) >= 60 / depth / 3


# Unusable cases


def write_unusable(kind: str, folder, write_case) -> str:
    """Writes case_bad and returns the reason that is expected."""
    image = noise((2, 8, 24, 24))
    if kind == "missing":
        return "there is no case_bad.b2nd"
    if kind == "nan":
        image[:] = np.nan
    elif kind == "constant":
        image[0], image[1] = 0.0, 3.0
    path = write_case(folder, "case_bad", image)
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:500])
    return {
        "nan": "not finite",
        "constant": "the image seems to have no content",
        "truncated": "cannot be opened",
    }[kind]


@pytest.mark.parametrize("settings", FIRST_IN_2D)
@pytest.mark.parametrize("kind", ["missing", "nan", "constant", "truncated"])
def test_an_unusable_case_is_rejected_by_name_and_another_one_used(
    kind, settings, folder, write_case
):
    reason = write_unusable(kind, folder, write_case)
    samples = samples_of(folder, settings, [*NAMES, "case_bad"], batch_size=6)
    for batch in take(stream_of(samples), 1):
        assert "case_bad" not in batch["cases"]
        assert len(batch["cases"]) == 6
        assert {name for name, _ in batch["rejected"]} == {"case_bad"}
        assert all(reason in why for _, why in batch["rejected"])
        assert all(torch.isfinite(batch["views"][name]).all() for name in TENSORS)


def test_an_unusable_case_does_not_change_the_samples_of_the_others(folder, write_case):
    names = [*NAMES, "case_bad"]
    write_case(folder, "case_bad", noise((2, 8, 24, 24)))
    before = take(samples_of(folder, names=names, batch_size=6), 6)
    (folder / "case_bad.b2nd").unlink()
    after = take(samples_of(folder, names=names, batch_size=6), 6)
    kept = [index for index in range(6) if before[index]["case"] != "case_bad"]
    assert len(kept) == 5
    assert_equal([after[index] for index in kept], [before[index] for index in kept])


@pytest.mark.parametrize("num_workers", [0, 2])
def test_if_no_case_is_usable_the_error_names_them_and_the_reasons(
    num_workers, tmp_path, write_case
):
    write_case(tmp_path, "constant", np.zeros((1, 8, 24, 24), dtype=np.float32))
    samples = samples_of(tmp_path, names=["constant", "gone"])
    stream = stream_of(samples, num_workers)
    try:
        with pytest.raises(RuntimeError, match="No usable case in 2 draws") as error:
            next(stream)
    finally:
        stream.close()
    assert "worker that makes views died" not in str(error.value)
    assert "constant: 10 drawn regions were constant" in str(error.value)
    assert "gone: there is no gone.b2nd" in str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize("num_missing", [1, 3, 9])
def test_one_usable_case_is_found_among_the_missing_ones(num_missing, folder):
    names = [NAMES[0], *(f"gone_{number}" for number in range(num_missing))]
    samples = samples_of(folder, IN_2D, names)
    for index in range(20):
        assert samples.region(index).case == NAMES[0]


def test_no_case_is_tried_twice_for_one_sample(folder):
    samples = samples_of(folder, IN_2D, [NAMES[0], "gone_1", "gone_2", "gone_3"])
    for index in range(30):
        tried = [name for name, _ in samples.region(index).rejected]
        assert len(tried) == len(set(tried))


@pytest.mark.parametrize("settings", SETTINGS)
def test_regions_without_content_are_drawn_again(settings, tmp_path, write_case):
    image = np.zeros((1, 24, 60, 60), dtype=np.float32)
    image[..., 30:] = noise((1, 24, 60, 30))
    write_case(tmp_path, "case", image)
    settings = changed(settings, **CLEAN)
    for sample in take(samples_of(tmp_path, settings, ["case"], num_channels=1), 20):
        assert sample["views"]["target"].std() > 0
        assert (sample["views"]["global_views"].flatten(1).std(1) > 0).all()


# Batches


@pytest.mark.parametrize("settings", SETTINGS)
def test_batches_have_the_view_axis_first_and_the_images_of_their_samples(folder, settings):
    batch = next(stream_of(samples_of(folder, settings)))
    assert batch["views"]["target"].shape == (1, 4, 2, *settings.settings.global_size)
    assert batch["views"]["global_views"].shape == (2, 4, 2, *settings.settings.global_size)
    assert batch["views"]["local_views"].shape == (3, 4, 2, *settings.settings.local_size)
    for index, sample in enumerate(take(samples_of(folder, settings), 4)):
        assert batch["cases"][index] == sample["case"]
        assert torch.equal(batch["views"]["target"][:, index], sample["views"]["target"])
        assert torch.equal(
            batch["views"]["global_views"][:, index], sample["views"]["global_views"]
        )
        assert torch.equal(batch["views"]["local_views"][:, index], sample["views"]["local_views"])
    assert batch["rejected"] == []


@pytest.mark.parametrize("settings", SETTINGS)
def test_targets_and_inputs_of_a_batch_share_no_storage(folder, settings):
    batch = next(stream_of(samples_of(folder, settings)))
    assert len({batch["views"][name].untyped_storage().data_ptr() for name in TENSORS}) == 3


@pytest.mark.parametrize("settings", FIRST_IN_2D)
def test_background_workers_make_the_same_batches_as_this_process(folder, settings):
    expected = take(stream_of(samples_of(folder, settings, batch_size=2)), 3)
    stream = stream_of(samples_of(folder, settings, batch_size=2), 2)
    try:
        assert_equal(take(stream, 3), expected)
    finally:
        stream.close()


# Views on the device


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("num_workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_views_made_by_this_process_from_regions_equal_those_of_the_workers(
    settings, num_workers, folder
):
    samples = samples_of(folder, settings, [*NAMES, "gone"], batch_size=3)
    expected = take(stream_of(samples), 2)
    stream = BatchStream(samples, num_workers, CPU, views_on_device=True)
    try:
        assert_equal(take(stream, 2), expected)
    finally:
        stream.close()
    assert any(batch["rejected"] for batch in expected)


def test_views_of_four_channels_are_the_same_wherever_they_are_made(tmp_path, write_case):
    write_case(tmp_path, "case", noise((4, 8, 24, 30)))
    samples = samples_of(tmp_path, names=["case"], num_channels=4)
    expected = next(stream_of(samples))
    assert expected["views"]["target"].shape[2] == 4
    assert_equal([next(BatchStream(samples, 0, CPU, views_on_device=True))], [expected])


@pytest.mark.slow
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("in_half", [False, True])
def test_the_lesser_of_region_and_views_travels_rounded_to_half_and_no_more(
    settings, in_half, folder
):
    samples = samples_of(folder, settings)
    sent = loader._Sent(samples, in_half)
    for number in range(6):
        region, expected = samples.region(number).region, samples[number]["views"]
        travelled = sent[number]
        is_region = region.nbytes <= sum(values.nbytes for values in expected.values())
        assert isinstance(travelled, RegionSample) == is_region
        floats = [travelled.region] if is_region else travelled["views"].values()
        assert {v.dtype for v in floats} == {torch.float16 if in_half else torch.float32}
        made = travelled.made(CPU)["views"] if is_region else travelled["views"]
        for name, values in expected.items():
            tolerance = {"atol": 5e-3, "rtol": 2e-3} if in_half else {"atol": 0, "rtol": 0}
            # Gamma stretches a view's own range, and with it the rounding at its ends.
            torch.testing.assert_close(made[name].float(), values, **tolerance)


def test_values_that_half_precision_does_not_hold_travel_as_they_are(tmp_path, write_case):
    write_case(tmp_path, "case", 1e6 * noise((1, 8, 24, 30)))
    sample = loader._Sent(samples_of(tmp_path, names=["case"], num_channels=1), True)[0]
    floats = [sample.region] if isinstance(sample, RegionSample) else sample["views"].values()
    assert {v.dtype for v in floats} == {torch.float32}


def test_views_are_made_on_a_gpu_and_otherwise_by_the_workers(folder):
    samples = samples_of(folder)
    assert BatchStream(samples, 0, torch.device("cuda")).views_on_device
    assert not BatchStream(samples, 0, CPU).views_on_device
    assert not BatchStream(samples, 0, torch.device("cuda"), views_on_device=False).views_on_device


@pytest.mark.slow
@pytest.mark.parametrize("settings", SETTINGS)
def test_a_region_is_all_of_a_sample_that_is_sent_as_an_open_file(folder, settings):
    # A process may have a thousand open files, and each tensor from another process is one.
    sample = samples_of(folder, settings).region(0)
    tensors = []

    def search(value) -> None:
        if isinstance(value, torch.Tensor):
            tensors.append(value)
        elif dataclasses.is_dataclass(value):
            search([getattr(value, field.name) for field in dataclasses.fields(value)])
        elif isinstance(value, (dict, list, tuple)):
            for item in value.values() if isinstance(value, dict) else value:
                search(item)

    search(sample)
    assert tensors == [sample.region]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_made_on_the_gpu_equal_those_made_on_the_cpu(settings, num_workers, folder):
    samples = samples_of(folder, settings)
    expected = take(stream_of(samples), 2)
    stream = BatchStream(samples, num_workers, torch.device("cuda"))
    for batch, wanted in zip(take(stream, 2), expected, strict=True):
        for name in TENSORS:
            ours = batch["views"][name]
            assert ours.is_cuda
            torch.testing.assert_close(ours.cpu(), wanted["views"][name], atol=1e-3, rtol=1e-3)
    stream.close()


def test_closing_a_stream_ends_its_workers_and_may_be_repeated(folder):
    before = set(multiprocessing.active_children())
    stream = stream_of(samples_of(folder), 2)
    assert set(multiprocessing.active_children()) == before
    next(stream)
    assert len(set(multiprocessing.active_children()) - before) == 2
    stream.close()
    assert set(multiprocessing.active_children()) == before
    stream.close()
    stream_of(samples_of(folder)).close()


def test_an_error_ends_the_workers_at_once(tmp_path):
    before = set(multiprocessing.active_children())
    stream = stream_of(samples_of(tmp_path, names=["gone"]), 2)
    begin = time.perf_counter()
    with pytest.raises(RuntimeError, match="No usable case"):
        next(stream)
    assert set(multiprocessing.active_children()) == before
    # A worker that is not told to end is waited for 5 s.
    assert time.perf_counter() - begin < 4


TRIES = 3
KILL_A_WORKER = f"""
import multiprocessing, os, sys, torch
from nnunetv2_pcrl.views.channels import Channels
from nnunetv2_pcrl.views.loader import BatchStream
from nnunetv2_pcrl.methods.pcrlv2.settings import PCRLv2Settings
from nnunetv2_pcrl.methods.pcrlv2.views import PCRLv2Recipe
from nnunetv2_pcrl.views.samples import TRAINING_STREAM, StreamPosition, ViewSamples

settings = PCRLv2Recipe(
    PCRLv2Settings(global_size=(16, 16), local_size=(8, 8)), (0.8, 0.8)
)
names = ["case_0", "case_1", "case_2", "case_3", "case_4"]
position = StreamPosition(0, TRAINING_STREAM)
samples = ViewSamples(sys.argv[1], names, 4, settings, Channels.unmeasured(2), position)
for _ in range({TRIES}):
    process = os.fork()
    if process == 0:
        break
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 1
else:
    sys.exit()
stream = BatchStream(samples, 2, torch.device("cpu"))
next(stream)
multiprocessing.active_children()[0].kill()
for batch in stream:
    pass
"""


@pytest.mark.slow
def test_a_dead_worker_ends_the_stream_with_an_error_and_never_hangs(folder):
    # In processes of their own: the error is raised by a signal handler, wherever a process is.
    # Whether a worker dies at a bad moment is a matter of luck: it is tried more than once.
    run = subprocess.run(
        [sys.executable, "-c", KILL_A_WORKER, str(folder)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    message = "RuntimeError: A background worker that makes views died"
    assert run.stderr.count(message) == TRIES


def test_the_time_spent_waiting_is_counted(folder):
    stream = stream_of(samples_of(folder))
    assert stream.seconds_waited == 0
    next(stream)
    once = stream.seconds_waited
    assert once > 0
    next(stream)
    assert stream.seconds_waited > once


def test_samples_can_be_sent_to_a_spawned_worker(folder):
    samples = samples_of(folder)
    assert_equal([pickle.loads(pickle.dumps(samples))[3]], [samples[3]])
