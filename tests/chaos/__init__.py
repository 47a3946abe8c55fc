"""The fault campaign: the program as real processes, under load, while its world is broken on purpose."""
