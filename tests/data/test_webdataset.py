"""Shards of WebDataset, as its own library writes them."""

import io
import tarfile

import numpy as np
import pytest
import webdataset
from PIL import Image

from davae.core.data_config import DataConfig
from davae.data.archive import members
from davae.data.captions import draw_captions
from davae.data.crops import draw_images, load_source


def config(top, **changes):
    return DataConfig(
        name="webdataset", path=str(top), crop="center", resolution_px=32,
        heldout_fraction=0.25, **changes,
    )  # fmt: skip


def colour_of(i):
    """A colour for each sample, far from all others."""
    return (i % 16 * 16, i // 16 % 16 * 16, 128)


def write(top, count, ending="png", caption="txt", classes=0):
    """`count` samples of one colour each, 20 a shard."""
    top.mkdir(exist_ok=True)
    with webdataset.ShardWriter(str(top / "part-%03d.tar"), maxcount=20, verbose=0) as sink:
        for i in range(count):
            said = f"colour {colour_of(i)}"
            sample = {"__key__": f"deep/sample{i:04d}",
                      ending: np.full((40, 50, 3), colour_of(i), np.uint8)}  # fmt: skip
            if caption == "json":
                sample["json"] = {"caption": said, "cls": i % classes if classes else ""}
            elif caption:
                sample[caption] = said
            if classes and caption != "json":
                sample["cls"] = i % classes
            sink.write(sample)
    return top


@pytest.mark.parametrize("caption", ["txt", "json"])
def test_images_captions_and_classes_belong_together(tmp_path, caption):
    top = write(tmp_path / "a", 50, caption=caption, classes=3)
    data = config(top)
    images, labels, names = draw_images(data, 0, "train", 36)
    assert names == ["0", "1", "2"]
    said = draw_captions(data, 0, "train", 36)
    by_colour = {colour_of(i): i for i in range(50)}
    seen = []
    for image, label, text in zip(images, labels, said, strict=True):
        colour = tuple(image[:, 0, 0].tolist())
        assert text == f"colour {colour}"
        assert label == by_colour[colour] % 3
        seen.append(by_colour[colour])
    assert len(set(seen)) == 36  # each once an epoch
    held = draw_images(data, 0, "heldout", 12)[0]
    assert not set(seen) & {by_colour[tuple(image[:, 0, 0].tolist())] for image in held}


def test_shards_of_one_name_in_two_folders_are_two(tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        with webdataset.TarWriter(str(tmp_path / folder / "0.tar")) as sink:
            for i in range(10):
                number = i + 10 * (folder == "y")
                pixels = np.full((40, 40, 3), colour_of(number), np.uint8)
                sink.write({"__key__": f"{i}", "png": pixels, "cls": number % 2,
                            "txt": f"colour {colour_of(number)}"})  # fmt: skip
    data = config(tmp_path)
    assert sum(len(r) for s in ("train", "heldout") for r in load_source(data).regions(s)) == 20
    images = draw_images(data, 0, "train", 16)[0]
    for image, text in zip(images, draw_captions(data, 0, "train", 16), strict=True):
        assert text == f"colour {tuple(image[:, 0, 0].tolist())}"


def test_a_file_that_is_there_twice_is_an_error(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for _ in range(2):
            tar.addfile(tarfile.TarInfo("one.png"), io.BytesIO(b""))
    with pytest.raises(ValueError, match=r"a\.tar: one\.png is there twice"):
        load_source(config(tmp_path))


def test_random_crops_have_their_captions_too(tmp_path):
    top = write(tmp_path / "a", 25, ending="webp.png")
    data = DataConfig(name="webdataset", path=str(top), resolution_px=16, min_crop_px=20,
                      max_crop_px=40)  # fmt: skip
    with pytest.raises(ValueError, match="has 0 images"):
        load_source(data)  # the ending is all that follows the first dot
    top = write(tmp_path / "b", 25)
    data = DataConfig(name="webdataset", path=str(top), resolution_px=16, min_crop_px=20,
                      max_crop_px=40)  # fmt: skip
    images = draw_images(data, 0, "train", 30)[0]
    for image, text in zip(images, draw_captions(data, 0, "train", 30), strict=True):
        assert text == f"colour {tuple(image[:, 0, 0].tolist())}"


def test_one_archive_is_a_data_set_of_one_class(tmp_path):
    top = write(tmp_path / "a", 12, caption="")
    data = config(top / "part-000.tar")
    _, labels, names = draw_images(data, 0, "train", 9)
    assert names == ["part-000"]
    assert not labels.any()
    with pytest.raises(ValueError, match=r"9 samples of .* have no caption"):
        draw_captions(data, 0, "train", 9)


def test_members_are_read_in_place(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name, content in (("x/one.bin", b"0123456789"), ("x/two.bin", bytes(70_000))):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    first, second = members(tmp_path / "a.tar")
    assert first.read_bytes() == b"0123456789"
    assert second.read_bytes() == bytes(70_000)
    with first.open() as stream:
        stream.seek(-3, 2)
        assert stream.read() == b"789"
        assert stream.seek(2) == 2
        assert stream.read(4) == b"2345"


def test_what_is_wrong_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"neither a \.tar nor a folder"):
        load_source(config(tmp_path))
    top = write(tmp_path / "a", 25, ending="npy")
    with pytest.raises(ValueError, match="sample0000 has 0 images"):
        load_source(config(top))
    top = write(tmp_path / "b", 25)
    path = top / "part-000.tar"
    whole, starts = path.read_bytes(), [m.start for m in members(path)]
    for cut in (len(whole) // 2 + 300, starts[6] - 512, starts[6] - 300):  # in what a file holds,
        path.write_bytes(whole[:cut])  # between two, in a header
        with pytest.raises(ValueError, match=r"part-000\.tar cannot be read as a tar"):
            load_source(config(top))
    (top / "part-000.tar").write_bytes(b"\x1f\x8b" + bytes(600))
    with pytest.raises(ValueError, match="unpack it if it is compressed"):
        load_source(config(top))


def test_a_broken_image_is_named(tmp_path):
    top = tmp_path / "a"
    top.mkdir()
    picture = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)).save(
        picture, "jpeg"
    )
    with webdataset.TarWriter(str(top / "x.tar")) as sink:
        for i in range(8):
            content = picture.getvalue()[: 3_000 if i == 5 else None]
            sink.write({"__key__": f"{i}", "jpg": content})
    source = load_source(config(top))  # whose header is whole
    (broken,) = (r for split in ("train", "heldout") for r in source.regions(split)[0]
                 if r.name == "x.tar/5")  # fmt: skip
    with pytest.raises(ValueError, match=r"x\.tar: 5\.jpg cannot be read as an image"):
        broken.pixels()


def test_a_class_for_some_only_is_an_error(tmp_path):
    with webdataset.TarWriter(str(tmp_path / "x.tar")) as sink:
        for i in range(8):
            sample = {"__key__": f"{i}", "png": np.zeros((40, 40, 3), np.uint8)}
            sink.write(sample | ({"cls": 1} if i % 2 else {}))
    with pytest.raises(ValueError, match="says no class"):
        load_source(config(tmp_path))
