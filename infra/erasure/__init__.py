"""A person's details taken out of everything that is kept, so that the books still add up: see decision 0037."""

from infra.erasure.erasing import Erased, erase
from infra.erasure.mentions import Portion, mentioned
from infra.erasure.persons import Person, person_called

__all__ = ["Erased", "Person", "Portion", "erase", "mentioned", "person_called"]
