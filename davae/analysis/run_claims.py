"""What is claimed of whole runs, judged as the claims of ablations are."""

from __future__ import annotations

from davae.analysis.findings import Claim

CONTENT_MARGIN = 0.03
"""A content accuracy that much lower does not matter."""
FACT_MARGIN = 0.05
DISTANCE_MARGIN = 0.1


def nearer(b: str, title: str) -> Claim:
    """Samples lie nearer to real images than those of another row."""
    return Claim(
        text=f"the samples lie nearer to real images than those of {title}", published="",
        metric="gkd_effnet", a="adapted", b=b, direction="lower", ratio=True,
        margin=DISTANCE_MARGIN,
    )  # fmt: skip


def as_right(b: str, title: str) -> Claim:
    """The content is not worse, nor better, than that of another row."""
    return Claim(
        text=f"the content is as often right as that of {title}", published="",
        metric="content_accuracy", a="adapted", b=b, direction="equal", margin=CONTENT_MARGIN,
        data="scenes",
    )  # fmt: skip


RUN_CLAIMS = (
    Claim(
        text="more samples show the detail of their class than the control's, decoder D = 0",
        published="", metric="detail_accuracy", a="adapted", b="control_decoded",
        direction="higher", margin=FACT_MARGIN, data="scenes",
    ),
    as_right("control", "the control, enlarged"),
    as_right("control_decoded", "the control, decoder D = 0"),
    nearer("control", "the control, enlarged"),
    nearer("control_decoded", "the control, decoder D = 0"),
    nearer("base_decoded", "the pretrained base model, decoder D = 0"),
)  # fmt: skip
"""Of every run with these rows; those about a fact that its data do not show are left out."""
