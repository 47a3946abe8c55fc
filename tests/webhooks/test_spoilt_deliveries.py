"""Spoilt events with true signatures at the real receiver: taken or refused, never an error of the receiver's own."""

import copy
import json
import random

from tests.stripe_mutations import BYTES, EVENTS, LESS, OTHER
from tests.webhooks.receiver_process import ReceiverProcess

ROUNDS = 12


def spoilt() -> list[bytes]:
    """Each way to spoil an event, on a dozen of them."""
    drawn = random.Random(11)
    bodies: list[bytes] = []
    for change in (*LESS, *OTHER):
        for event in drawn.sample(EVENTS, ROUNDS):
            mutated = copy.deepcopy(event)
            change(drawn, mutated)
            mutated["id"] = f"evt_spoilt_{len(bodies)}"
            bodies.append(json.dumps(mutated).encode())
    for damage in BYTES:
        bodies += [damage(drawn, json.dumps(event).encode()) for event in drawn.sample(EVENTS, ROUNDS)]
    return bodies


def test_a_spoilt_event_is_taken_or_refused(receiver: ReceiverProcess) -> None:
    """200 where it is still one event, 400 without a detail where it is not, and the receiver goes on."""
    answers = [receiver.deliver(body) for body in spoilt()]
    assert {answer.status_code for answer in answers} == {200, 400}
    assert all(len(answer.content) < 60 for answer in answers if answer.status_code == 400)
    assert receiver.client.get("/readyz").status_code == 200
