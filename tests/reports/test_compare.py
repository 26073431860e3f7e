"""Two folders of results side by side, and what a paper takes."""

import shutil

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


def test_a_paper_gets_latex_and_vector_figures_twice_the_same(results, tmp_path):
    first, second = (write_paper(results, tmp_path / name) for name in "ab")
    names = [path.name for path in first]
    assert names == [
        "bench_suite.pdf", "bench_suite.svg", "bench_suite.tex", "headline.tex",
        "run_tiny_base0.tex", "tiny_toy.svg",
    ]  # fmt: skip
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    assert "\\toprule" in (tmp_path / "a" / "headline.tex").read_text()
    assert first[0].read_bytes().startswith(b"%PDF")
