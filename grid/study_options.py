"""The options of the command line that choose and change a study. Imports only click."""

from collections.abc import Callable

import click


def study_options(command: Callable) -> Callable:
    """Decorator with STUDY, the options that narrow or change it, and the output folder."""
    several = " Repeat the option for several."
    options = [
        click.argument("study", default="demo"),
        click.option(
            "--dataset",
            "datasets",
            multiple=True,
            help="A MedMNIST name, digits, or a path to an .npz file; see `salun-grid datasets`." + several,
        ),
        click.option(
            "--forget",
            "forget_sets",
            multiple=True,
            metavar="RULE:PARAMETER",
            help="Images to forget, such as random:0.1; see `salun-grid forget-rules`." + several,
        ),
        click.option(
            "--forget-rate",
            "forget_rates",
            type=float,
            multiple=True,
            metavar="RATE",
            help="Shorthand for --forget random:RATE, a fraction of the train images." + several,
        ),
        click.option("--augmentation", "augmentations", multiple=True, help="none, default or default+ra." + several),
        click.option("--seed", "seeds", type=int, multiple=True, help="Random seed." + several),
        click.option(
            "--method",
            "methods",
            multiple=True,
            metavar="NAME[:FIELD=VALUE,…]",
            help="A control, or a method with its settings, such as salun:mask.fraction=0.3; see `salun-grid methods`."
            + several,
        ),
        click.option(
            "--probe",
            "probes",
            multiple=True,
            metavar="NAME[:FIELD=VALUE,…]",
            help="A metric that needs the model itself, run on every model; see `salun-grid probes`." + several,
        ),
        click.option("--architecture", metavar="NAME", help="Network and its recipe; see `salun-grid architectures`."),
        click.option("--epochs", type=int, help="Epochs of the original and the retrain (training.epochs)."),
        click.option("--unlearning-epochs", type=int, help="Epochs of unlearning (unlearning.epochs)."),
        click.option("--image-size", type=int, help="Side in pixels; 0 is the dataset's own (image_size)."),
        click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="FIELD=VALUE",
            help="Change a setting of the protocol; see `salun-grid settings`." + several,
        ),
        click.option("--allow-empty-classes", is_flag=True, help="Accept labels that skip a class number."),
        click.option("--out", help="Output folder or bucket  [default: runs/STUDY]"),
    ]
    for option in reversed(options):
        command = option(command)
    return command
