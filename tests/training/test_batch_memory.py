"""A batch that no memory could hold is refused before the first step."""

import pytest
import torch
from prepared_dataset import PreparedDataset, configuration, smooth_image

from nnunetv2_pcrl.trainers import PCRLv2PretrainTrainer
from nnunetv2_pcrl.training import batch_memory
from nnunetv2_pcrl.training.batch_memory import check_batch_fits, is_out_of_memory, total_memory

CPU = torch.device("cpu")
GIB = 2**30


@pytest.fixture
def two_gib(monkeypatch):
    """A machine with 2 GiB."""
    monkeypatch.setattr(batch_memory, "total_memory", lambda device: 2 * GIB)


def test_a_machine_has_memory_and_a_container_may_have_less(tmp_path, monkeypatch):
    monkeypatch.setattr(batch_memory, "_CGROUP_LIMITS", ())
    machine = total_memory(CPU)
    assert machine > 2**28
    files = [tmp_path / name for name in ("none", "max", "small")]
    files[1].write_text("max\n")
    files[2].write_text(f"{2**27}\n")
    monkeypatch.setattr(batch_memory, "_CGROUP_LIMITS", files[:2])
    assert total_memory(CPU) == machine
    monkeypatch.setattr(batch_memory, "_CGROUP_LIMITS", files)
    assert total_memory(CPU) == 2**27


def test_what_fits_to_the_last_byte_is_taken_and_one_value_more_is_refused(two_gib):
    # 2 GiB are 2**29 values of 4 bytes.
    check_batch_fits(2**10, 2**10, 2**19, CPU)
    with pytest.raises(ValueError, match=r"1024 images \(\"batch_size\" 2048\) take 2.0 GiB"):
        check_batch_fits(2**10, 2**11, 2**19 + 1, CPU)


def test_a_million_images_are_refused_with_the_memory_that_they_would_take(two_gib):
    # 96^3 voxels and 4 channels: 3,538,944 values.
    message = (
        r"1000000 images .* take 13,183.6 GiB, 0.013 GiB each, and cpu has 2.0 GiB: lower "
        r'"batch_size"'
    )
    with pytest.raises(ValueError, match=message):
        check_batch_fits(10**6, 10**6, 4 * 96**3, CPU)


@pytest.mark.parametrize(
    ("name", "value"), [("batch_size", 10**6), ("num_local", 10**7)], ids=["images", "views"]
)
def test_a_pretraining_that_no_machine_could_hold_ends_before_its_network_is_built(
    nnunet_folders, two_gib, name, value
):
    section = {"batch_size": 4, "probe_every": 0, name: value}
    configurations = {"2d": configuration(2, nnunetv2_pcrl={"pcrlv2": section})}
    dataset = PreparedDataset(nnunet_folders / "nnUNet_preprocessed", configurations)
    for number in range(2):
        dataset.add_case("2d", f"case_{number}", smooth_image((1, 4, 24, 24), number))
    trainer = dataset.trainer(PCRLv2PretrainTrainer, "2d")
    settings = trainer.settings
    values = 3 * settings.global_size[0] ** 2 + settings.num_local * settings.local_size[0] ** 2
    assert trainer.values_per_image() == values
    with pytest.raises(ValueError, match=f'"batch_size" {settings.batch_size}.* take .* GiB'):
        trainer.initialize()
    assert trainer.network is None


def test_errors_of_memory_are_told_from_others():
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(RuntimeError) as error:
        torch.empty(2**60)
    assert is_out_of_memory(error.value)
    assert not is_out_of_memory(RuntimeError("shapes do not fit"))
