"""Evidence from Parquet: metrics, gaps, tables, figures. Imports neither torch nor Ray."""
