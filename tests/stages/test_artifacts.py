"""Reading artifacts."""

from types import SimpleNamespace

import numpy as np
import torch

from davae.stages.artifacts import JoinedLatents


def test_joined_latents_are_the_concatenated_normalised_ones(tmp_path):
    rng = np.random.default_rng(0)
    parts = [torch.from_numpy(rng.normal(size=(n, c, 2, 2))) for n, c in ((7, 3), (5, 2))]
    factors = SimpleNamespace(shift_factor=0.5, scaling_factor=2.0)
    joined = JoinedLatents(parts, factors)
    whole = (torch.cat([parts[0][:5], parts[1]], 1) - 0.5) * 2.0
    assert (len(joined), joined.shape) == (5, (5, 5, 2, 2))
    assert torch.equal(joined[torch.tensor([4, 0, 4])], whole[[4, 0, 4]])
    assert torch.equal(joined[1:99], whole[1:])
