"""Formats and storage shared by grid and analysis: schemas, folders and buckets, dataset files, user-facing errors."""
