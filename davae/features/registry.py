"""EXTRACTORS: every extractor by name. A new one is a file and a line here, or `register` from a
file of your own.

An extractor is written `NAME` or `NAME:OPTION=VALUE,...`, as `effnet_lite0:input_px=64,blocks=8`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial

from davae.features.clip import clip_images
from davae.features.effnet import effnet, effnet_lite2
from davae.features.extract import Extractor, Host
from davae.features.inception import inception

Factory = Callable[..., Extractor]
"""(host, **options) -> the extractor; the options have defaults, whose types are theirs."""

EXTRACTORS: dict[str, Factory] = {
    "effnet_lite0": effnet,
    "effnet_lite2": effnet_lite2,
    "inception_clean": partial(inception, "clean"),
    "inception_legacy_tensorflow": partial(inception, "legacy_tensorflow"),
    "inception_legacy_pytorch": partial(inception, "legacy_pytorch"),
    "clip": clip_images,
}


def register(name: str, factory: Factory) -> None:
    """Add an extractor; raises ValueError for a name that is taken."""
    if name in EXTRACTORS:
        raise ValueError(f"there is an extractor {name!r} already; give yours another name")
    EXTRACTORS[name] = factory


def parse(spec: str) -> tuple[str, dict[str, str]]:
    """(name, options as written) of an extractor; raises ValueError for an unknown name or no
    NAME=VALUE."""
    name, _, listed = spec.partition(":")
    if name not in EXTRACTORS:
        raise ValueError(f"there is no extractor {name!r}; extractors: {', '.join(EXTRACTORS)}")
    pairs = [option.partition("=") for option in listed.split(",") if option]
    unclear = [option for option, equals, _ in pairs if not equals]
    if unclear:
        raise ValueError(
            f"the extractor {spec!r}: options are written NAME=VALUE, not {', '.join(unclear)}"
        )
    return name, {option: value for option, _, value in pairs}


def with_option(spec: str, option: str, value: str) -> str:
    """The same extractor with one option changed."""
    name, options = parse(spec)
    return f"{name}:" + ",".join(f"{k}={v}" for k, v in {**options, option: value}.items())


def open_extractor(spec: str, host: Host | None = None) -> Extractor:
    """The extractor of a spec; raises ValueError for options that it lacks or that are of another
    type."""
    name, options = parse(spec)
    defaults = {
        p.name: p.default for p in list(inspect.signature(EXTRACTORS[name]).parameters.values())[1:]
    }
    unknown = [option for option in options if option not in defaults]
    if unknown:
        allowed = ", ".join(f"{option}={default}" for option, default in defaults.items()) or "none"
        raise ValueError(
            f"{name} has no option {', '.join(unknown)}; options, with their defaults: {allowed}"
        )
    typed = {
        option: _typed(spec, option, value, type(defaults[option]))
        for option, value in options.items()
    }
    return EXTRACTORS[name](host or Host(), **typed)


def _typed(spec: str, option: str, value: str, kind: type) -> object:
    try:
        return kind(value)
    except ValueError as error:
        raise ValueError(
            f"the extractor {spec!r}: {option} is {value!r}; it is of type {kind.__name__}"
        ) from error
