"""Spreadsheets in and out: CSV files that people keep, read with every mistake named and written so that none runs.

A file is read into the same functions that the API calls, and written with the columns that reading takes.
"""
