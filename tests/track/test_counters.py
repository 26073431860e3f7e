"""Counters of two revisions."""

import copy
import json
import shutil
import subprocess
from pathlib import Path

from davae.cli.track import run
from davae.track.counters import compare
from davae.track.verdict import Verdict

BEFORE = {
    "torch": "2.14.1",
    "cases": {
        "denoise": {"calls": {"aten.mm": 4}, "groups": {"linear": 4, "copy": 0}, "flops": 100}
    },
}


def changed(**counters):
    after = copy.deepcopy(BEFORE)
    after["cases"]["denoise"].update(counters)
    return after


def test_equal_counters_are_ok():
    assert compare(BEFORE, copy.deepcopy(BEFORE)) == (Verdict.OK, [])


def test_a_difference_names_case_operator_and_count():
    after = changed(calls={"aten.mm": 4, "aten.clone": 2}, groups={"linear": 4, "copy": 2})
    verdict, reasons = compare(BEFORE, after)
    assert verdict == Verdict.REGRESSION
    assert reasons == [
        "denoise: calls: aten.clone 0 -> 2 (+2)", "denoise: groups: copy 0 -> 2 (+2)",
    ]  # fmt: skip
    fewer, reasons = compare(BEFORE, changed(flops=50))
    assert (fewer, reasons) == (Verdict.REGRESSION, ["denoise: flops 100 -> 50 (-50)"])


def test_other_versions_and_new_cases_are_told_apart():
    assert compare(BEFORE, {**BEFORE, "torch": "2.15.0"})[0] == Verdict.INVALID
    after = copy.deepcopy(BEFORE)
    after["cases"]["decode"] = {"flops": 1}
    assert compare(BEFORE, after) == (Verdict.NO_BASELINE, ["decode: not counted before"])


def test_a_case_that_is_gone_is_named():
    after = {**BEFORE, "cases": {}}
    assert compare(BEFORE, after) == (Verdict.REGRESSION, ["denoise: not counted any more"])
    assert compare(BEFORE, after, whole=False) == (Verdict.OK, [])
    built = {**BEFORE, "torch": "2.14.1+cu130"}
    assert compare(BEFORE, built) == (Verdict.OK, [])


def test_a_case_that_fails_has_a_verdict_and_the_others_are_compared():
    failing = {**BEFORE, "cases": {"denoise": {"error": "TypeError: gone"}, "decode": {"flops": 1}}}
    verdict, reasons = compare(BEFORE, failing)
    assert (verdict, reasons) == (Verdict.REGRESSION, ["denoise: TypeError: gone"])
    after = {**BEFORE, "cases": {**BEFORE["cases"], "decode": {"flops": 2}}}
    verdict, reasons = compare(failing, after)
    assert (verdict, reasons[0]) == (Verdict.REGRESSION, "decode: flops 1 -> 2 (+1)")
    mended = {**after, "cases": {**BEFORE["cases"], "decode": {"flops": 1}}}
    assert compare(failing, mended) == (Verdict.NO_BASELINE, ["denoise: not counted before"])


def test_a_base_that_cannot_be_counted_is_no_baseline(tmp_path, monkeypatch):
    """A revision whose package lacks what the harness of the head imports."""
    root = Path(__file__).parents[2]
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")

    def git(*words):
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    (tmp_path / "davae").mkdir()
    (tmp_path / "davae" / "__init__.py").touch()
    shutil.copytree(root / "benchmarks", tmp_path / "benchmarks")
    git("init", "-b", "main")
    git("add", "-A")
    git("commit", "-m", "an old package")
    monkeypatch.chdir(tmp_path)
    words = ["counters", "--base", "HEAD", "--cases", "nano-widened-train-b16"]
    assert run([*words, "--summary", "out.md"]) == 2  # nor can this tree, which is the head
    shutil.rmtree(tmp_path / "davae")
    shutil.copytree(root / "davae", tmp_path / "davae")
    assert run([*words, "--summary", "out.md"]) == 5
    assert "No module named" in (tmp_path / "out.md").read_text()


def test_a_file_that_is_not_there_is_an_error_and_no_regression(tmp_path, monkeypatch, capsys):
    root = Path(__file__).parents[2]
    monkeypatch.chdir(root)
    there = next((root / "results" / "cpu-2core" / "history").glob("*.json"))
    assert run(["compare", str(there), str(tmp_path / "missing.json")]) == 2
    assert "missing.json" in capsys.readouterr().err


def test_a_baseline_that_is_none_and_an_unknown_case_are_errors(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(Path(__file__).parents[2])
    (tmp_path / "broken.json").write_text("{}")
    case = ("--cases", "nano-widened-decode-b2-bfloat16")
    assert run(["counters", "--base", str(tmp_path / "broken.json"), *case]) == 2
    assert "broken.json holds no counters" in capsys.readouterr().err
    assert run(["counters", "--cases", "nosuch"]) == 2
    assert "there is no scenario 'nosuch'; scenarios: " in capsys.readouterr().err


def test_the_command_compares_two_revisions_of_the_dit(tmp_path, monkeypatch, capsys):
    """A copy of the repository in which someone adds a stray copy to the attention."""
    root = Path(__file__).parents[2]
    for name in ("davae", "benchmarks"):
        shutil.copytree(root / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))

    def git(*words):
        identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-b", "main")
    git("add", "-A")
    git("commit", "-m", "before")
    blocks = tmp_path / "davae" / "models" / "dit_blocks.py"
    changed = blocks.read_text().replace(
        "self.qkv(x).chunk(3, -1)", "self.qkv(x.clone()).chunk(3, -1)"
    )
    assert changed != blocks.read_text()
    blocks.write_text(changed)
    git("commit", "-am", "after")
    monkeypatch.chdir(tmp_path)
    case = "nano-widened-train-b16"
    words = ["counters", "--base", "HEAD~1", "--head", "HEAD", "--cases", case]
    assert run(words) == 1
    assert f"{case}: calls: aten.clone" in capsys.readouterr().out
    assert run(["counters", "--base", "HEAD", "--write"]) == 2
    assert "name the .json file" in capsys.readouterr().err
    kept = tmp_path / "kept.json"
    kept.write_text(json.dumps({"torch": "2.14.1", "cases": {"denoise": {"flops": 1}}}))
    assert run(["counters", "--base", str(kept), "--cases", case, "--write"]) == 0
    assert set(json.loads(kept.read_text())["cases"]) == {"denoise", case}
