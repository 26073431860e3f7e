"""Reading artifacts."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL

from davae.stages.artifacts import JoinedLatents, save_model, write_parts


def test_joined_latents_are_the_concatenated_normalised_ones(tmp_path):
    rng = np.random.default_rng(0)
    parts = [torch.from_numpy(rng.normal(size=(n, c, 2, 2))) for n, c in ((7, 3), (5, 2))]
    factors = SimpleNamespace(shift_factor=0.5, scaling_factor=2.0)
    joined = JoinedLatents(parts, factors)
    whole = (torch.cat([parts[0][:5], parts[1]], 1) - 0.5) * 2.0
    assert (len(joined), joined.shape) == (5, (5, 5, 2, 2))
    assert torch.equal(joined[torch.tensor([4, 0, 4])], whole[[4, 0, 4]])
    assert torch.equal(joined[1:99], whole[1:])


def test_parts_that_a_killed_attempt_finished_are_kept(tmp_path):
    path, made = tmp_path / "latents.npy", []

    def make(part, stop=99):
        if part.start >= stop:
            raise KeyboardInterrupt
        made.append(part.start)
        return np.arange(part.start, part.stop, dtype=np.float32)[:, None] * [1, 2]

    with pytest.raises(KeyboardInterrupt):
        write_parts(path, 10, 3, lambda part: make(part, 6), "drawing")
    write_parts(path, 10, 3, make, "drawing")
    assert made == [0, 3, 6, 9]
    expected = np.arange(10)[:, None] * [1, 2]
    np.testing.assert_array_equal(np.load(path), expected)
    assert [p.name for p in tmp_path.iterdir()] == ["latents.npy"]
    made.clear()
    with pytest.raises(KeyboardInterrupt):
        write_parts(path, 10, 3, lambda part: make(part, 6), "drawing")
    write_parts(path, 10, 4, make, "drawing")  # in parts of another size: anew
    assert made == [0, 3, 0, 4, 8]
    np.testing.assert_array_equal(np.load(path), expected)


def test_a_saved_network_does_not_name_the_folder_that_it_came_from(tmp_path):
    vae = AutoencoderKL(norm_num_groups=4, block_out_channels=(4,))
    vae.save_pretrained(tmp_path / "first")
    loaded = AutoencoderKL.from_pretrained(tmp_path / "first")
    save_model(loaded, tmp_path / "second", rounded=False)
    assert str(tmp_path) not in (tmp_path / "second" / "config.json").read_text()
    again = AutoencoderKL.from_pretrained(tmp_path / "second")
    assert {**again.config, "_name_or_path": ""} == {**loaded.config, "_name_or_path": ""}
