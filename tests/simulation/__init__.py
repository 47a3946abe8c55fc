"""Whole histories drawn from a seed, played in any order, judged by an oracle that shares no code with the program."""
