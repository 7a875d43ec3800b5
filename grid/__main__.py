"""`python -m salun_grid.grid` is `salun-grid`."""

from salun_grid.grid.cli import main

main(prog_name="salun-grid")
