"""Formats write: one file a format, functions named ``<target>_from_<source>``."""
