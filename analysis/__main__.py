"""`python -m analysis` is `salun-analysis`."""

from analysis.cli import main

main(prog_name="salun-analysis")
