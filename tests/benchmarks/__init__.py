"""Measuring scripts: run by hand, never by pytest. Each prints how it measured."""
