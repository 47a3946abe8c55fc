"""Recorded facts and booked money: load the slice a batch can meet, apply what was decided. Always whole batches."""
