"""What `import davae` gives, and how soon."""

import re
import subprocess
import sys

import pytest

import davae


def test_public_names_are_there_and_others_are_not():
    from davae import PRESETS
    from davae.method.widen import widen
    from davae.models.adapt import adapt

    assert (davae.widen, davae.adapt) == (widen, adapt)
    assert PRESETS["tiny"].names() == {"base": "f4c4p1", "davae": "f8c16p1"}
    assert set(davae.__all__) <= set(dir(davae))
    with pytest.raises(AttributeError, match="has no attribute 'unknown'"):
        _ = davae.unknown


def test_importing_davae_imports_no_torch_and_takes_no_time():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import davae"], capture_output=True, text=True
    )
    assert not re.search(r"\|\s+torch$", done.stderr, re.M)
    own = re.search(r"(\d+) \|\s+davae$", done.stderr, re.M)
    assert int(own[1]) < 300_000  # microseconds


@pytest.mark.parametrize("module", ["davae.core.records", "davae.analysis.tables"])
def test_records_and_tables_need_no_torch(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_paper_needs_torch_alone():
    code = (
        "import sys, pkgutil, importlib, davae.method as m\n"
        "for p in pkgutil.iter_modules(m.__path__):\n"
        "    importlib.import_module('davae.method.' + p.name)\n"
        "used = {n for n in sys.modules if n.startswith('davae.')}\n"
        "assert all(n.startswith('davae.method') for n in used), used\n"
        "assert 'diffusers' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
