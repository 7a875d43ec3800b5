"""`python -m grid` is `salun-grid`."""

from grid.cli import main

main(prog_name="salun-grid")
