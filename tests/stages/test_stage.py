"""Building stages."""

from davae.core.runtime import Runtime
from davae.core.store import Store
from davae.stages.stage import Pipeline, Stage


def test_pipeline_builds_dependencies_first_and_once(tmp_path):
    built = []

    def make(work, name, value):
        built.append((name, sorted(work.inputs)))
        (work.folder / "out").write_text(value)

    a = Stage("a", 1, make, {"name": "a", "value": "1"})
    b = Stage("b", 1, make, {"name": "b", "value": "2"}, {"first": a})
    c = Stage("c", 1, make, {"name": "c", "value": "3"}, {"left": b, "right": a})
    pipeline = Pipeline(Store(tmp_path), Runtime(), announce=lambda text: None)
    assert (pipeline.path(c) / "out").read_text() == "3"
    pipeline.path(c)
    assert built == [("a", []), ("b", ["first"]), ("c", ["left", "right"])]
    assert Stage("a", 2, make, a.config).key != a.key
