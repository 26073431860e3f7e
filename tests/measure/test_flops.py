"""FLOPs: counted, on meta, in closed form."""

from dataclasses import asdict

import pytest
import torch
from diffusers.models.resnet import ResnetBlock2D

from davae.measure.flops import count_flops, dit_forward_flops
from davae.models.dit import DiT, DiTConfig
from davae.models.dit_blocks import Attention, Block
from davae.stages.transformer import training_flops


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


def test_one_dit_block_one_attention_and_one_vae_block_by_hand():
    batch, tokens, width, heads = 2, 64, 48, 4
    table = [torch.ones(tokens, width)] * 2
    x, condition = torch.randn(batch, tokens, width), torch.randn(batch, width)
    products = 8 * tokens * width**2 + 4 * tokens**2 * width  # qkv and proj; scores and values
    with torch.no_grad():
        attention, _ = count_flops(lambda: Attention(width, heads, qk_norm=True)(x, *table))
        block, _ = count_flops(lambda: Block(width, heads, qk_norm=True)(x, condition, *table))
        vae_block = ResnetBlock2D(in_channels=32, out_channels=64, temb_channels=None)
        convolutions, _ = count_flops(lambda: vae_block(torch.randn(batch, 32, 8, 8), None))
    assert attention == batch * products
    assert block == batch * (products + 16 * tokens * width**2 + 12 * width**2)
    assert convolutions == 2 * batch * 64 * (9 * 32 * 64 + 9 * 64 * 64 + 32 * 64)


def test_a_multiply_add_is_two_operations():
    x, w = torch.randn(3, 5), torch.randn(5, 7)
    assert count_flops(lambda: x @ w)[0] == 2 * 3 * 5 * 7


def test_the_flops_of_a_training_step_are_those_of_a_sample_times_the_batch():
    dit = DiT(**asdict(DiTConfig(hidden_size=48, depth=2, num_heads=4)))

    def of_batch(batch):
        inputs = torch.randn(batch, 4, 8, 8), torch.rand(batch), torch.zeros(batch).long()
        return training_flops(dit, lambda: dit(*inputs))

    assert of_batch(6) == 6 * of_batch(1)


def test_whole_layers_that_no_formula_knows_are_refused():
    layer = torch.nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).eval()
    x = torch.zeros(1, 4, 16)
    with torch.no_grad(), pytest.raises(ValueError, match="encoder_layer"):
        count_flops(lambda: layer(x))
    with torch.no_grad(), pytest.raises(ValueError, match=r"lstm|rnn"):
        count_flops(lambda: torch.nn.LSTM(16, 8)(x))
