"""FLOPs: counted, on meta, in closed form."""

from dataclasses import asdict

import torch

from davae.measure.flops import count_flops, dit_forward_flops
from davae.models.dit import DiT, DiTConfig


def test_flops_on_the_device_equal_meta_and_the_closed_form():
    tokens, width, depth = 64, 48, 3
    config = DiTConfig(hidden_size=width, depth=depth, num_heads=4)
    with torch.device("meta"):
        on_meta, _ = count_flops(
            lambda: DiT(**asdict(config))(
                torch.empty(2, 4, 8, 8), torch.empty(2), torch.empty(2, dtype=torch.long)
            )
        )
    dit = DiT(**asdict(config))
    inputs = (torch.randn(2, 4, 8, 8), torch.rand(2), torch.tensor([0, 1]))
    with torch.no_grad():
        here, _ = count_flops(lambda: dit(*inputs))
    assert here == on_meta
    blocks = dit_forward_flops(tokens, width, depth, batch=2)
    conditioning = 2 * 2 * (256 * width + width**2 + depth * 6 * width**2 + 2 * width**2)
    ends = 2 * 2 * tokens * (4 * width + width * 4)
    assert here == blocks + conditioning + ends
    training, _ = count_flops(lambda: dit(*inputs).sum().backward())
    first = 2 * 2 * tokens * 4 * width + 2 * 2 * 256 * width  # whose inputs need no gradient
    recomputed = depth * 2 * 2 * tokens**2 * width  # attention's backward recomputes the scores
    assert training == 3 * here - first + recomputed
