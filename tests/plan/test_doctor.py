"""What would stop a run."""

from dataclasses import replace

import pytest
from PIL import Image

from davae.cli.doctor import run
from davae.core.presets import PRESETS
from davae.core.runtime import Runtime
from davae.core.store import Store
from davae.plan import doctor
from davae.plan.doctor import Patient, disk, examine, hub_names, inputs
from davae.plan.first_crops import first_crops
from davae.stages.run_graph import run_stages
from tests.stages.test_text import experiment, save_flux, save_sd3

NANO = PRESETS["nano"]


def results(e, tmp_path, runtime=None):
    return {f.name: f for f in examine(Patient(e, runtime or Runtime(), tmp_path / "store"))}


def test_a_run_that_can_be_made_has_no_finding(tmp_path):
    found = results(NANO, tmp_path)
    assert all(f.ok for f in found.values()), found
    assert "loss" in found["first batch of the DA-VAE"].text
    assert "loss" in found["first batch of the adaptation"].text
    assert not (tmp_path / "store").exists()  # nothing is written


@pytest.mark.parametrize(("family", "save"), [("sd3", save_sd3), ("flux", save_flux)])
def test_a_pipeline_takes_its_first_batch(family, save, tmp_path):
    save(tmp_path)
    e = experiment(family, str(tmp_path / "pipe"))
    found = results(e, tmp_path)
    assert found["first batch of the adaptation"].ok, found
    assert "two sampling steps" in found["first batch of the adaptation"].text


def test_everything_that_is_missing_is_listed(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    free = type("Disk", (), {"free": 2**50})
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: free)
    e = replace(
        PRESETS["imagenet512"], data=replace(PRESETS["imagenet512"].data, path=str(tmp_path))
    )
    found = results(e, tmp_path, Runtime("cuda", compile=False))
    assert [name for name, f in found.items() if f.ok] == ["disk"]
    untried = ["first batch of the DA-VAE", "first batch of the adaptation"]
    assert [name for name, f in found.items() if f.ok is None] == untried
    assert "torch sees 0 GPUs" in found["machine and versions"].text
    assert "holds no images" in found["first crops"].text
    assert "base_vae.pretrained" in found["weights, data and settings"].text


def test_weights_of_the_hub_that_are_not_here_are_said(tmp_path):
    e = PRESETS["sd35m_1k"]
    name = "stabilityai/stable-diffusion-3.5-medium"
    assert hub_names(e) == [name]
    with pytest.raises(ValueError, match=f"data.path.*{name} is no folder and not here"):
        inputs(Patient(e, Runtime(), tmp_path / "store"))
    base = replace(e.base_vae, pretrained=str(tmp_path))
    there = replace(e, base_vae=base, base_dit=replace(e.base_dit, pretrained=str(tmp_path)))
    assert hub_names(there) == hub_names(NANO) == []


def test_a_broken_file_and_a_full_disk_are_found(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(2):
            (tmp_path / "data" / name / f"{i}.png").write_bytes(b"no image")
    data = replace(NANO.data, name="folder", path=str(tmp_path / "data"))
    assert "cannot be read" in results(replace(NANO, data=data), tmp_path)["first crops"].text
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: type("Disk", (), {"free": 1000}))
    assert "name a larger disk" in results(NANO, tmp_path)["disk"].text


def test_the_command_says_how_many_stop_it(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["nano"]) == 0
    assert "STOPS" not in capsys.readouterr().out
    assert run(["nano", "--runtime.device", "cuda", "--runtime.compile", "False"]) == 2
    shown = capsys.readouterr()
    assert "STOPS machine and versions" in shown.out
    assert "would stop the run" in shown.err


def test_a_folder_that_a_run_would_refuse_is_found(tmp_path):
    def said(**changes):
        data = replace(NANO.data, name="folder", path=str(tmp_path / "data"), **changes)
        return first_crops(replace(NANO, data=data))

    def write(name, count, side=96):
        (tmp_path / "data" / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            Image.new("RGB", (side, 120)).save(tmp_path / "data" / name / f"{i}.png")

    write("a", 3)
    write("b", 1)
    with pytest.raises(ValueError, match="class 'b' has 1 image"):
        said()
    write("b", 3)
    assert "6 of 6 files read, the headers of 6; shorter sides 96 to 96 px" in said()
    with pytest.raises(ValueError, match="2 classes need 8 or more"):
        said(eval_crops=7)
    write("b", 3, side=20)
    with pytest.raises(ValueError, match=r"^3 of 6 files: .*side must be at least 48 px"):
        said()
    write("b", 200, side=96)
    (tmp_path / "data" / "b" / "77.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"^1 of 203 files: .*77\.png cannot be read"):
        said()  # though few are read as wholes
    (tmp_path / "data" / "b" / "77.png").unlink()
    (tmp_path / "data" / "loose.png").write_bytes(b"")
    with pytest.raises(ValueError, match="lies beside class folders"):
        said()


def test_what_the_store_has_needs_no_room(tmp_path, monkeypatch):
    """Data in files, whose stages have keys of their content."""
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(2):
            Image.new("RGB", (96, 96), (i, 0, 0)).save(tmp_path / "data" / name / f"{i}.png")
    e = replace(NANO, data=replace(NANO.data, name="folder", path=str(tmp_path / "data")))
    patient = Patient(e, Runtime(), tmp_path / "store")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: type("Disk", (), {"free": 1000}))
    with pytest.raises(ValueError, match="name a larger disk"):
        disk(patient)
    for stage in run_stages(e).values():
        folder = Store(patient.store).folder(stage.name, stage.key)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "manifest.json").write_text("{}")
    assert disk(patient).startswith("0.0 GiB are written")
