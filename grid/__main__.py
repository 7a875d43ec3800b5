"""Entry point of `python -m salun_grid.grid`, the same as `salun-grid`."""

from salun_grid.grid.cli import main

main(prog_name="salun-grid")
