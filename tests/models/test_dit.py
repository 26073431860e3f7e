"""LightningDiT."""

from dataclasses import asdict

import pytest
import torch

from davae.models.dit import DiT, DiTConfig
from davae.models.dit_blocks import rotary_table, rotate, signed, sincos_positions, time_features


def test_a_fresh_dit_predicts_zero_and_takes_the_null_label():
    dit = DiT(**asdict(DiTConfig(hidden_size=48, depth=1, num_heads=4, num_classes=3)))
    out = dit(torch.randn(2, 4, 8, 8), torch.rand(2), torch.tensor([0, 3]))
    assert torch.equal(out, torch.zeros(2, 4, 8, 8))
    with pytest.raises(ValueError, match=r"takes \[B, 4, 8, 8\]"):
        dit(torch.randn(2, 4, 4, 4), torch.rand(2), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="multiple of 4"):
        DiT(hidden_size=50, num_heads=4)


def test_patches_come_back_where_they_were():
    """With an identity-like head the output keeps the place of every pixel of every patch."""
    dit = DiT(
        **asdict(
            DiTConfig(
                in_channels=2, input_size=4, patch_size=2, hidden_size=48, depth=1, num_heads=4
            )
        )
    )
    captured = {}
    dit.final_layer.register_forward_hook(lambda m, i, o: captured["x"])
    tokens = torch.arange(4 * 4 * 2.0).view(1, 4, 8)  # [token, (row, column, channel)]
    captured["x"] = tokens
    out = dit(torch.zeros(1, 2, 4, 4), torch.zeros(1), torch.tensor([0]))
    assert out[0, 1, 0, 1].item() == 0 * 8 + 1 * 2 + 1  # token 0, position (0, 1), channel 1
    assert out[0, 0, 3, 0].item() == 2 * 8 + 2 * 2 + 0  # token 2 (row 1, column 0), position (1, 0)


def test_rotation_depends_on_the_difference_of_positions():
    cos, sin = rotary_table(4, 8)
    q, k = torch.randn(8), torch.randn(8)

    def score(a, b):
        return rotate(q, cos[a], signed(sin)[a]) @ rotate(k, cos[b], signed(sin)[b])

    torch.testing.assert_close(score(1 * 4 + 1, 2 * 4 + 3), score(0 * 4 + 0, 1 * 4 + 2))
    assert torch.equal(cos[0], torch.ones(8))
    assert cos[1, :4].tolist() == [1, 1, 1, 1]  # one step along the row turns the second half only


def test_fixed_tables_by_hand():
    table = sincos_positions(2, 8)  # two frequencies, 1 and 1 / 100; columns first
    s, c = torch.tensor(1.0).sin().item(), torch.tensor(1.0).cos().item()
    assert table[1, :4].tolist() == pytest.approx([s, 0.01, c, 1], abs=1e-4)
    assert table[1, 4:].tolist() == pytest.approx([0, 0, 1, 1])
    assert table[2, 4:6].tolist() == pytest.approx([s, 0.01], abs=1e-4)
    features = time_features(torch.tensor([0.0, 1.0]))
    assert features[0].tolist() == [1.0] * 128 + [0.0] * 128
    assert features[1, 128].item() == pytest.approx(s)
