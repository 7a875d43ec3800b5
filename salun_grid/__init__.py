"""The one name under which the packages are installed and imported.

`grid`, `analysis`, `images`, `records` and `trainables` here are links to the folders at the top of the repository:
names so common that a user's own `analysis.py` would be imported in their place.
"""
