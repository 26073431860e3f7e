"""What the page's words mean."""

from __future__ import annotations

from markupsafe import Markup

from reports.results import Results
from reports.section import Section

WORDS = {
    "z, z_d": "the channels of the pretrained latent, and those that are added for detail (D of "
    "them; D = 0 is a decoder of z alone)",
    "alignment": "a loss that makes group means of z_d like z; lambda is its fixed weight, ratio "
    "its weight as a ratio of gradient norms, as the paper has it",
    "the schedule": "the weight of the detail in the flow loss, which grows from 0 (Eq. 12)",
    "zero, random, repeat, reset, scratch": "how the new layers start: at zero; drawn (_in, _out: "
    "one of them alone); as copies of the old ones; together with the old ones drawn anew; the "
    "whole transformer untrained",
    "repeat(z)": "z itself in the place of the detail",
    "gKD, gFD; rKD, rFD": "kernel and Frechet distance of samples (g) or reconstructions (r) to "
    "real images on EfficientNet's features, lower is nearer: no KID and FID. Behind an "
    "extractor's name stand blocks and dimensions",
    "PD": "a perceptual distance of pairs on EfficientNet's stages; not LPIPS",
    "detail, content": "of scenes: the share of samples whose lines, or whose shape and colour, "
    "are those of their class; amplitude and purity are of the lines alone",
    "probe, nearest": "a linear classifier's accuracy; an image's distance to the nearest training "
    "crop over that to the nearest unseen one, 1 if it owes nothing to training",
    "tiny, tiny_photos, smoke, nano": "presets of small models on a CPU: drawn scenes, "
    "photographs, the first run, tests",
    "sd35m_1k, sd35m_2k, flux_1k, imagenet512": "presets of the full-size models, whose networks "
    "are counted and timed at random weights; dcae_f32c32: another autoencoder, for comparison",
    "native, widened": "the pretrained model at the full resolution, and the adapted one with a "
    "quarter of its tokens",
    "denoise, sample, encode, decode, train, update, draw": "benchmark cases: one forward; a whole "
    "sampling; the autoencoder; a training step; its optimizer; its random numbers. b10: a batch "
    "of 10",
    "exploratory": "of fewer than five seeds: no verdict",
}


def body(results: Results) -> Markup:
    """A list of definitions."""
    items = Markup("").join(
        Markup("<dt>{}</dt><dd>{}</dd>").format(word, meaning) for word, meaning in WORDS.items()
    )
    return Markup('<dl class="words">{}</dl>').format(items)


SECTION = Section(90, "words", "Words", body)
