"""The generated tables of README and docs."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from davae.analysis.findings import Claim, Finding, findings_table
from davae.analysis.stats import Interval
from davae.core import records
from reports.build import page
from reports.readme import BLOCK, outdated, rewritten, update
from reports.results import read_results
from reports.sections.throughput import SAMPLED, sampled_on_gpu
from reports.side_by_side import side_by_side
from tests.reports.conftest import run_rows

ROOT = Path(__file__).parents[2]


def test_the_committed_tables_are_those_of_the_committed_records():
    results = read_results(ROOT / "results")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        text = path.read_text()
        assert rewritten(text, results) == text, f"{path.name}: run `python -m reports --readme`"
    assert BLOCK.search((ROOT / "README.md").read_text())


def test_only_blocks_are_written_again(results, tmp_path):
    top = tmp_path / "checkout"
    (top / "docs").mkdir(parents=True)
    before = "a\n<!-- generated: {} -->\nold\n<!-- end generated -->\nb 0.5\n"
    (top / "README.md").write_text(before.format("headline"))
    (top / "docs" / "page.md").write_text(before.format("runs:tiny"))
    (top / "docs" / "other.md").write_text("no block\n")
    changed = update(results, top)
    assert [path.name for path in changed] == ["README.md", "page.md"]
    text = (top / "README.md").read_text()
    assert text.startswith("a\n<!-- generated: headline -->\n| SD3.5")
    assert text.endswith("<!-- end generated -->\nb 0.5\n")
    assert "lines 0.90 (0.90 to 0.90)" in text
    assert "| adapted with DA-VAE | 0.9 | 0.9 |" in (top / "docs" / "page.md").read_text()
    assert update(results, top) == []
    assert outdated(results, top) == {}
    (top / "docs" / "page.md").write_text(before.format("runs:tiny").replace("end ", "the end "))
    with pytest.raises(ValueError, match=r"docs/page\.md: 1 marks of generated blocks and 0"):
        update(results, top)
    (top / "docs" / "page.md").write_text("no block\n")
    with pytest.raises(ValueError, match="no generated block in README"):
        outdated(results, top / "docs")
    with pytest.raises(ValueError, match="there is no block 'nothing'"):
        rewritten(before.format("nothing"), read_results(results))
    with pytest.raises(ValueError, match="no runs of small"):
        rewritten(before.format("runs:small"), read_results(results))
    with pytest.raises(ValueError, match=r"there is no .*none\.csv"):
        rewritten(before.format("file:none.csv"), read_results(results))


def gpu_file(results, weights="random"):
    """A benchmark file of a GPU with the two whole samplings, below results/box."""
    report = json.loads((results / "suite.benchmark.json").read_text())
    about = report["machine_info"]["davae"]
    about["machine"]["gpus"] = ["Fast One"]
    [case] = report["benchmarks"]
    further = {
        "img_per_s_low": 0.4, "img_per_s_high": 2.0, "peak_bytes": 3.5e10, "ceiling": "matmul",
        "share_of_ceiling": 0.375, "ceiling_flops_per_second": 8e14, "weights": weights,
        "batch": 10, "steps": 28, "resolution_px": 1024, "p50_s": 20.0, "text_s": 0.5,
        "denoise_s": 18.5, "decode_s": 1.0, "joules_image": 1500.0,
    }  # fmt: skip
    report["benchmarks"] = [
        {**case, "name": f"test_scenario[{name}]",
         "extra_info": {**case["extra_info"], **further, "img_per_s": rate}}
        for name, rate in ((SAMPLED["native"], 0.5), (SAMPLED["widened"], 1.75))
    ]  # fmt: skip
    (results / "box").mkdir()
    (results / "box" / "gpu.benchmark.json").write_text(json.dumps(report))


def test_what_a_gpu_measured_stands_in_the_tables(results):
    gpu_file(results)
    found = read_results(results)
    table = rewritten(
        "<!-- generated: gpu:box/gpu.benchmark.json -->\n<!-- end generated -->", found
    )
    assert "Fast One, torch x; a case is in float32" in table
    assert "1024 px: 0.5 img/s native and 1.75 with the DA-VAE, 3.50 times (published" in table
    assert "Of the 20 s of a native batch: 0.5 text, 18.5 denoise, 1 decode; 1,500 J an" in table
    assert f"| {SAMPLED['native']} | 0.5 | 0.4 to 2 | 0.38 | matmul | 800 | 35.0 |" in table
    headline = rewritten("<!-- generated: headline -->\n<!-- end generated -->", found)
    assert "img/s on one Fast One, measured here" in headline
    assert headline.splitlines()[-4].endswith("| 1.03 | 1.75 |")
    assert "3.50x" in page(results)
    with pytest.raises(ValueError, match="no benchmark file"):
        rewritten("<!-- generated: gpu:none.json -->\n<!-- end generated -->", found)
    with pytest.raises(ValueError, match=r"no records of benchmarks\.headline"):
        rewritten("<!-- generated: full_size:box -->\n<!-- end generated -->", found)


def test_stand_ins_are_no_headline(results):
    gpu_file(results, "random, a small stand-in")
    assert sampled_on_gpu(read_results(results)) is None


def test_a_file_of_the_results_is_a_block(results):
    (results / "noise.csv").write_text("case,ok %\na,99.5\n")
    (results / "said.md").write_text("**ok**\n")
    found = read_results(results)
    block = "<!-- generated: file:{} -->\n<!-- end generated -->"
    assert "| a | 99.5 |\n" in rewritten(block.format("noise.csv"), found)
    assert "-->\n**ok**\n<!--" in rewritten(block.format("said.md"), found)
    (results / "tracker.csv").write_text("head,case,verdict,slower by %\nsame,a,ok,0.2\n")
    assert "| same | a | ok | 0.2 |\n" in rewritten(block.format("tracker.csv"), found)
    claim = Claim(text="it helps", published="", metric="m", a="a", b="b", direction="higher")
    finding = Finding(claim, Interval(2.0, 1.0, 3.0, 5), "holds", p=0.01)
    findings_table([finding]).to_csv(results / "findings.csv", index=False)
    line = "| it helps | m | 2 [1, 3] | – | 5 | 0.01 | holds |  |\n"
    assert line in rewritten(block.format("findings.csv"), found)


def judged(folder, preset, found, data):
    """An ablation's folder with these findings, as a sweep leaves it."""
    row = {**run_rows("a", "m", 1.0), "suite": "ablation", "preset": preset}
    records.append(folder / "records.jsonl", [row])
    findings_table(found, data).to_csv(folder / "findings.csv", index=False)


def test_the_claims_of_an_ablation_stand_side_by_side(results):
    near = Claim(
        text="it is nearer", published="Table 9", metric="d", a="a", b="b", direction="lower",
        ratio=True, margin=0.05,
    )  # fmt: skip
    more = Claim(text="it has more", published="", metric="m", a="a", b="b", direction="higher")
    tenth = Interval(math.log(0.9), math.log(0.85), math.log(0.95), 5)
    scenes = [
        Finding(near, tenth, "holds", "net1", p=0.01),
        Finding(near, tenth, "holds", "net2", p=0.01),
        Finding(more, Interval(2.0, -1.0, 5.0, 5), "inconclusive", p=0.2),
    ]
    photos = [
        Finding(near, replace(tenth, n=2), "exploratory", "net1", p=0.3),
        Finding(near, Interval(math.log(1.2), -1.0, 1.0, 2), "exploratory", "net2", p=0.4),
    ]
    judged(results / "tiny" / "ablations" / "weight", "tiny", scenes, "scenes")
    judged(results / "tiny_photos" / "ablations" / "weight", "tiny_photos", photos, "photos")
    shown = side_by_side(read_results(results), "weight")
    assert list(shown) == [
        "claim",
        "metric",
        "scenes, `tiny`",
        "photos, `tiny_photos`",
        "published",
    ]
    assert list(shown["claim"]) == ["it is nearer", "it has more"]
    assert shown["scenes, `tiny`"][0] == "holds: -10% [-15%, -5%]; other networks: the same"
    assert shown["scenes, `tiny`"][1].startswith("inconclusive: 2 [-1, 5], detectable ")
    exploratory = shown["photos, `tiny_photos`"][0]
    assert exploratory.startswith("2 seeds: -10% [-15%, -5%], detectable ")
    assert exploratory.endswith("; other networks: 20%")
    assert list(shown["published"]) == ["Table 9", ""]
    block = "<!-- generated: findings:{} -->\n<!-- end generated -->"
    written = rewritten(block.format("weight"), read_results(results))
    assert "| it has more | m | inconclusive: 2 [-1, 5], detectable" in written
    with pytest.raises(ValueError, match="no findings of the ablation toy2"):
        rewritten(block.format("toy2"), read_results(results))


def test_a_second_base_has_a_column_of_its_own(results):
    claim = Claim(text="it has more", published="", metric="m", a="a", b="b", direction="higher")
    for folder, mean in (("weight", 2.0), ("weight-base1", 4.0), ("weighty", 8.0)):
        found = [Finding(claim, Interval(mean, 1.0, 5.0, 5), "holds", p=0.01)]
        judged(results / "tiny" / "ablations" / folder, "tiny", found, "scenes")
    [row] = side_by_side(read_results(results), "weight").to_dict("records")
    assert row["scenes, `tiny`"] == "holds: 2 [1, 5]"
    assert row["scenes, `tiny`, base seed 1"] == "holds: 4 [1, 5]"
    assert len(row) == 5


def test_networks_that_differ_are_said(results):
    claim = Claim(
        text="it is nearer", published="", metric="d", a="a", b="b", direction="lower", margin=3.0
    )
    found = [
        Finding(claim, Interval(-2.0, -3.5, -0.5, 5), "holds", "net1", p=0.01),
        Finding(claim, Interval(-1.0, -2.5, 0.5, 5), "inconclusive", "net2", p=0.2),
        Finding(claim, Interval(1.0, 0.5, 1.5, 5), "no difference", "net3", p=0.01),
    ]
    judged(results / "tiny" / "ablations" / "weight", "tiny", found, "scenes")
    cell = side_by_side(read_results(results), "weight")["scenes, `tiny`"][0]
    said = "holds by less than the margin: -2 [-3.5, -0.5]"
    assert cell == f"{said}; other networks: inconclusive, no difference"
