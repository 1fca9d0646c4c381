import math

import torch
from torch import nn

from nnunetv2_pcrl.training.joint_batch import JointBatch
from nnunetv2_pcrl.training.update import update


def test_a_gradient_that_is_not_finite_leaves_the_weights_as_they_are():
    network = nn.Linear(2, 1)
    before = network.weight.detach().clone()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    for value, is_finite in ((math.inf, False), (math.nan, False), (1.0, True)):
        for parameter in network.parameters():
            parameter.grad = torch.full_like(parameter, value)
        norm = update(network, optimizer, None, JointBatch(2))
        assert bool(torch.isfinite(norm)) is is_finite
        assert torch.equal(network.weight, before) is not is_finite
