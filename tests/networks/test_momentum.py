import pytest
import torch
from planned_networks import planned_network, random_images
from torch import nn

from nnunetv2_pcrl.networks.momentum import copy_without_gradient, move, rising_momentum
from nnunetv2_pcrl.networks.skip import SkipUNet


def student_and_teacher():
    student = nn.Linear(3, 2).double()
    return student, copy_without_gradient(student)


def test_a_teacher_begins_as_its_student_shares_nothing_with_it_and_gets_no_gradient():
    student = SkipUNet(planned_network("ResidualEncoderUNet", "anisotropic"))
    teacher = copy_without_gradient(student)
    x = random_images(1, 1, 8, 16, 24)
    torch.testing.assert_close(teacher(x)[-1], student(x)[-1].detach(), rtol=0, atol=0)
    assert not any(p.requires_grad for p in teacher.parameters())
    assert all(p.requires_grad for p in student.parameters())
    own = {p.data_ptr() for p in student.parameters()}
    assert not own & {p.data_ptr() for p in teacher.parameters()}


def test_a_teacher_moves_by_the_complement_of_its_momentum():
    student, teacher = student_and_teacher()
    before = teacher.weight.clone()
    with torch.no_grad():
        student.weight.add_(1.0)
    move(teacher, student, 0.9)
    torch.testing.assert_close(teacher.weight, 0.9 * before + 0.1 * student.weight.detach())


def test_after_1000_steps_of_momentum_0_999_a_teacher_keeps_36_77_percent_of_its_start():
    student, teacher = student_and_teacher()
    nn.init.zeros_(student.weight)
    nn.init.ones_(teacher.weight)
    for _ in range(1000):
        move(teacher, student, 0.999)
    torch.testing.assert_close(
        teacher.weight, torch.full_like(teacher.weight, 0.3677), rtol=0, atol=5e-5
    )


def test_momentum_1_keeps_a_teacher_and_0_copies_its_student():
    student, teacher = student_and_teacher()
    nn.init.zeros_(student.weight)
    before = teacher.weight.clone()
    move(teacher, student, 1.0)
    assert torch.equal(teacher.weight, before)
    move(teacher, student, 0.0)
    assert not teacher.weight.any()


def test_a_teacher_that_equals_its_student_stays_bit_for_bit_what_it_is():
    student, teacher = student_and_teacher()
    move(teacher, student, 0.99)
    assert torch.equal(teacher.weight, student.weight)


def test_statistics_of_batch_normalisation_follow_too():
    student = nn.BatchNorm1d(2)
    teacher = copy_without_gradient(student)
    student(torch.full((4, 2), 10.0))
    move(teacher, student, 0.5)
    torch.testing.assert_close(teacher.running_mean, torch.full((2,), 0.5))
    assert int(teacher.num_batches_tracked) == 1


@pytest.mark.parametrize("momentum", [-0.1, 1.1])
def test_a_momentum_outside_0_and_1_is_refused(momentum):
    student, teacher = student_and_teacher()
    with pytest.raises(ValueError, match=r"must be in \[0, 1\], got"):
        move(teacher, student, momentum)


def test_a_momentum_rises_to_one_by_a_half_cosine():
    assert [rising_momentum(0.9, done) for done in (0.0, 0.5, 1.0)] == pytest.approx([0.9, 0.95, 1])
    assert rising_momentum(1.0, 0.3) == 1
