"""Two folders of results side by side, and what a paper takes."""

import json
import shutil

import pytest

from davae.core import records
from reports.compare import compared
from reports.paper import write_paper
from tests.reports.conftest import run_rows


def test_only_figures_of_one_protocol_stand_in_one_row(results, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(results, other)
    file = other / "tiny" / "seed0" / "records.jsonl"
    file.unlink()
    rows = [run_rows("adapted", "detail_accuracy", 0.8)]
    rows.append({**run_rows("adapted", "content_accuracy", 0.7), "protocol": "another"})
    records.append(file, rows)
    text = compared(results, other)
    both, _, apart = text.partition("only results")
    assert 'data-sort="-0.09999' in both  # 0.8 beside 0.9
    assert "another" not in both
    assert "another" in apart
    assert ">1</td>" in text.partition('id="throughput"')[2]  # the ratio of equal speeds


def test_machines_in_both_folders_are_compared_each_with_itself(results, tmp_path):
    both, again = tmp_path / "arm", tmp_path / "value"  # as columns are called
    for name, rate in (("one", 2.0), ("two", 3.0)):
        shutil.copytree(results, both / name)
        file = both / name / "suite.benchmark.json"
        report = json.loads(file.read_text())
        report["benchmarks"][0]["extra_info"]["img_per_s"] = rate
        report["machine_info"]["davae"]["machine"]["gpus"] = [f"GPU {name}"]
        file.write_text(json.dumps(report))
    shutil.copytree(both, again)
    text = compared(both, again).partition('id="throughput"')[2].partition("</table>")[0]
    assert text.count("<tr>") == 1 + 2
    assert text.count('data-sort="1.0"') == 2
    assert text.count(">GPU one</td>") == 2
    other = compared(both / "one", both / "two").partition('id="throughput"')[2]
    assert 'data-sort="1.5"' in other  # one machine on each side: beside each other


def test_a_paper_gets_latex_and_vector_figures_twice_the_same(results, tmp_path):
    first, second = (write_paper(results, tmp_path / name) for name in "ab")
    names = [path.name for path in first]
    assert names == [
        "bench_suite.tex", "bench_suite_roofline.pdf", "bench_suite_roofline.svg", "headline.tex",
        "run_tiny_base0.tex", "tiny_toy.svg", "tiny_toy_findings.tex",
    ]  # fmt: skip
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    assert "\\toprule" in (tmp_path / "a" / "headline.tex").read_text()
    assert first[1].read_bytes().startswith(b"%PDF")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="nothing below"):
        write_paper(tmp_path / "empty", tmp_path / "c")


def test_two_machines_have_files_of_their_own(results, tmp_path):
    top = tmp_path / "both"
    for name in ("one", "two"):
        shutil.copytree(results, top / name)
    names = {path.name for path in write_paper(top, tmp_path / "out")}
    assert {"one_tiny_toy.svg", "two_tiny_toy.svg", "bench_one_suite.tex",
            "bench_two_suite.tex"} <= names  # fmt: skip
