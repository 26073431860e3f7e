"""Files of a user's own: ablations, and what they register (metrics, extractors, base models,
methods)."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType


def load_file(path: Path) -> ModuleType:
    """Run a Python file as a module of its own; raises ValueError if it is not there, is no .py
    file, or cannot be run, with the line."""
    if path.suffix != ".py" or not path.is_file():
        raise ValueError(f"{path} is not a .py file that is there")
    spec = importlib.util.spec_from_file_location(f"davae_user_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for the names of their annotations
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        lines = [
            f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)
        ]
        line = error.lineno if isinstance(error, SyntaxError) else (lines or [None])[-1]
        said = error.msg if isinstance(error, SyntaxError) else error
        raise ValueError(f"{path}, line {line}: {type(error).__name__}: {said}") from error
    return module


def split(argv: list[str]) -> tuple[list[str], list[str]]:
    """The command line without its `--extend FILE.py`s, and their files."""
    rest, files, words = [], [], iter(argv)
    for word in words:
        name, equals, file = word.partition("=")
        if name != "--extend":
            rest.append(word)
            continue
        path = file if equals else next(words, "")
        if not path:
            raise ValueError("--extend needs a file: --extend my_metrics.py")
        files.append(path)
    return rest, files


def extended(argv: list[str]) -> list[str]:
    """The files of a command line's `--extend FILE.py`s."""
    return split(argv)[1]


def load_extensions(argv: list[str]) -> list[str]:
    """The command line without its `--extend FILE.py`s, each of which is run."""
    rest, files = split(argv)
    for file in files:
        load_file(Path(file))
    return rest
