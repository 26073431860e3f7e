"""The state of a training in a file."""

import pytest
import torch
from torch import nn

from davae.train.checkpoint import load_state, save_state


def test_a_nest_comes_back_with_the_layout_of_its_tensors(tmp_path):
    image = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    thin = torch.randn(6, 3, 1, 1).to(memory_format=torch.channels_last)
    gaps = torch.randn(4, 6)[:, ::2]
    state = {
        "optimizer": {"state": {0: {"step": torch.tensor(3.0), "mean": image}, 7: {}},
                      "param_groups": [{"lr": 0.1, "betas": (0.9, 0.95), "fused": None}]},
        "average": [thin, gaps, torch.zeros(0, 2), torch.arange(3)],
        "expanded": torch.ones(1, 3).expand(4, 3),
        "half": torch.randn(3).bfloat16(), "progress": {"step": 5, "seconds": [0.25]},
    }  # fmt: skip
    save_state(state, tmp_path / "a.safetensors")
    found = load_state(tmp_path / "a.safetensors", "cpu")
    assert found["progress"] == state["progress"]
    assert found["optimizer"]["param_groups"] == [{"lr": 0.1, "betas": [0.9, 0.95], "fused": None}]
    moments = found["optimizer"]["state"]
    assert list(moments) == [0, 7]
    assert moments[7] == {}
    pairs = [(moments[0]["mean"], image), (moments[0]["step"], torch.tensor(3.0)),
             (found["half"], state["half"]), (found["expanded"], state["expanded"]),
             *zip(found["average"], state["average"], strict=True)]  # fmt: skip
    for one, other in pairs:
        assert one.dtype == other.dtype
        assert torch.equal(one, other)
    for one, other in ((moments[0]["mean"], image), (found["average"][0], thin)):
        assert one.stride() == other.stride()
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize("fused", [False, True])
def test_an_optimizer_goes_on_exactly(tmp_path, fused):
    def trained(steps, cut=None):
        torch.manual_seed(0)
        network = nn.Conv2d(3, 4, 1).to(memory_format=torch.channels_last)
        optimizer = torch.optim.AdamW(network.parameters(), 0.1, fused=fused)
        for step in range(steps):
            if step == cut:
                save_state(optimizer.state_dict(), tmp_path / "a")
                optimizer = torch.optim.AdamW(network.parameters(), 0.1, fused=fused)
                optimizer.load_state_dict(load_state(tmp_path / "a", "cpu"))
            network(torch.full((1, 3, 2, 2), step + 1.0)).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
        return network.weight

    assert torch.equal(trained(6), trained(6, cut=3))
