"""Measuring: `make bench`, or one script by hand; never by pytest. Each says how it measured."""
