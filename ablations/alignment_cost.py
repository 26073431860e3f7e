"""What does alignment cost in reconstruction and buy in generation, over autoencoders of several
seeds? (Table 4 of the paper.)

`align_weight` has more weights, and one autoencoder a weight."""

from __future__ import annotations

from ablations import align_weight
from ablations.align_weight import FLOORS, GENERATION, HALF, METRICS, NONE, WHOLE
from davae.analysis.findings import Claim
from davae.core.experiment import Experiment
from davae.sweep.ablation import Ablation, Arm


def arms(base: Experiment) -> tuple[Arm, ...]:
    """The arms of `align_weight` that the paper's table has."""
    return tuple(arm for arm in align_weight.arms(base) if arm.name in (NONE, HALF, WHOLE))


ABLATION = Ablation(
    name="alignment_cost",
    question="What does alignment cost and buy, over autoencoders of several seeds?",
    arms=arms,
    trains="davae_seeds",
    metrics=METRICS,
    measured=("reconstruction", "structure", "generation"),
    floors=FLOORS,
    pareto=("psnr_db", "gkd_effnet"),
    claims=(
        Claim(
            text="alignment costs PSNR", published="Table 4: rFID 0.43 at 0, 0.54 at 1.0",
            metric="psnr_db", a=WHOLE, b=NONE, direction="lower", margin=0.1,
        ),
        Claim(
            text="alignment costs rKD", published="Table 4: rFID 0.43 at 0, 0.54 at 1.0",
            metric="rkd_effnet", a=WHOLE, b=NONE, direction="higher", ratio=True, margin=0.03,
        ),
        *(
            Claim(
                text=text, published=f"Table 4: {published}", metric="rkd_effnet", a=a, b=b,
                direction="higher", ratio=True, margin=0.03,
            )
            for text, published, a, b in (
                ("moderate alignment costs rKD", "rFID 0.43 at 0, 0.47 at 0.5", HALF, NONE),
                ("more alignment costs more rKD", "rFID 0.47 at 0.5, 0.54 at 1.0", WHOLE, HALF),
            )
        ),
        *GENERATION,
    ),
)  # fmt: skip
