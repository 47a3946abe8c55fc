"""A person's details taken out of everything that is kept, so that the books still add up: see decision 0037."""

from infra.erasure.erasing import Erased, erase
from infra.erasure.mentions import Portion, mentioned
from infra.erasure.persons import Person, person_called
from infra.erasure.requests import erase_found, erasures_of, note_erased, request_erasure, take_erasure_step

__all__ = [
    "Erased",
    "Person",
    "Portion",
    "erase",
    "erase_found",
    "erasures_of",
    "mentioned",
    "note_erased",
    "person_called",
    "request_erasure",
    "take_erasure_step",
]
