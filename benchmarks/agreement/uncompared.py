"""Methods that are not compared with their authors' code, with the reasons."""

NO_CODE = "no official repository is known to us; the step follows the paper"
UGRADSL = (
    "the official repository (github.com/UCSC-REAL/Label-Smoothing-Unlearn) could not be fetched; the step follows "
    "the paper"
)
UNCOMPARED: dict[str, str] = {
    "ugradsl": UGRADSL,
    "ugradsl_plus": UGRADSL,
    "salun_soft": "the official step shrinks towards the weights of each epoch's start, and ours towards θ₀, as the "
    "paper; its fraction falls from batch to batch, and ours from epoch to epoch",
    "salun_cra": NO_CODE,
    "regun": NO_CODE,
    "noisy_finetune": "the official code (github.com/stair-lab/certified-unlearning-neural-networks-icml-2025) is in "
    "JAX, around networks of its own",
    "task_arithmetic": "the official code edits CLIP models and was not run; the step is one subtraction of weights",
    "neg_merge": "the official repository (github.com/naver-ai/negmerge) contains only a README",
}
