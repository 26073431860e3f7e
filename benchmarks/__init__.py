"""The benchmark suite: the harness that times the package beside it, of whichever revision."""

import sys

# An editable installation finds what a revision lacks in the working tree: two would be mixed.
sys.meta_path[:] = [
    finder
    for finder in sys.meta_path
    if not getattr(finder, "__module__", "").startswith("__editable__")
]
