"""`python -m salun_grid.analysis` is `salun-analysis`."""

from salun_grid.analysis.cli import main

main(prog_name="salun-analysis")
