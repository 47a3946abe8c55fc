"""Stripe signatures: what is believed, what is not, and that nothing a stranger sends can raise."""

from itertools import product

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from infra.providers.stripe.verify import (
    HEADER_BYTES_MAX,
    SIGNATURES_MAX,
    TOLERANCE_S,
    Refusal,
    SignatureHeader,
    StripeVerifier,
    Verified,
    fingerprint,
    read_header,
    sign,
)

OLD, NEW, OTHER = "whsec_old_old_old_old_old", "whsec_new_new_new_new_new", "whsec_other_other_other"
NOW_S = 1_795_329_147
BODY = b'{"id": "evt_1", "name": "\xc3\xa9"}'


def judge(header: str | bytes, body: bytes = BODY, secrets: tuple[str, ...] = (NEW,), now_s: float = NOW_S) -> object:
    """The verdict on a whole delivery."""
    read = read_header(header.encode() if isinstance(header, str) else header)
    return read if isinstance(read, Refusal) else StripeVerifier(secrets).verify(read, body, now_s)


def v1(secret: str, body: bytes = BODY, timestamp_s: int = NOW_S) -> str:
    """The bare signature."""
    return sign(body, secret, timestamp_s).partition("v1=")[2]


def test_what_the_sdk_signs_is_believed_and_the_sdk_believes_what_we_sign() -> None:
    """Our signatures and the SDK's are the same, in both directions."""
    theirs = stripe.WebhookSignature.generate_signature_header(BODY.decode(), NEW, NOW_S)
    assert judge(theirs) == Verified(fingerprint(NEW), 0)
    assert stripe.WebhookSignature.verify_header(BODY, sign(BODY, NEW, NOW_S), NEW)


@pytest.mark.parametrize(("sent_with", "known"), list(product([(OLD,), (NEW,), (OLD, NEW)], repeat=2)), ids=str)
def test_rotation_works_with_any_secret_and_any_signature(sent_with: tuple[str, ...], known: tuple[str, ...]) -> None:
    """A delivery is believed exactly if a secret we know made one of its signatures, and we learn which."""
    header = f"t={NOW_S}," + ",".join(f"v1={v1(secret)}" for secret in sent_with)
    verdict = judge(header, secrets=known)
    shared = [fingerprint(secret) for secret in known if secret in sent_with]
    assert verdict == (Verified(shared[0], 0) if shared else Refusal.NO_MATCH)


@pytest.mark.parametrize(
    ("age_s", "expected"),
    [
        (TOLERANCE_S, None),
        (-TOLERANCE_S, None),
        (TOLERANCE_S + 1, Refusal.TOO_OLD),
        (-TOLERANCE_S - 1, Refusal.TOO_NEW),
        (-10 * 365 * 86_400, Refusal.TOO_NEW),
    ],
)
def test_the_window_has_two_sides(age_s: int, expected: Refusal | None) -> None:
    """A true signature is refused when its time lies more than the tolerance in the past or in the future."""
    signed_at_s = NOW_S - age_s
    verdict = judge(sign(BODY, NEW, signed_at_s))
    assert verdict == (expected or Verified(fingerprint(NEW), age_s))


def test_a_wrong_time_is_reported_only_for_a_true_signature() -> None:
    """Nobody without the secret can set off the alarm about the clock."""
    assert judge(sign(BODY, OTHER, 1)) is Refusal.NO_MATCH


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", Refusal.NO_HEADER),
        ("t=1", Refusal.MALFORMED_HEADER),
        (f"v1={v1(NEW)}", Refusal.MALFORMED_HEADER),
        (f"t=,v1={v1(NEW)}", Refusal.MALFORMED_HEADER),
        (f"t={NOW_S},t={NOW_S},v1={v1(NEW)}", Refusal.MALFORMED_HEADER),
        (f"t=1795_329147,v1={v1(NEW)}", Refusal.MALFORMED_HEADER),
        (f"t=+{NOW_S},v1={v1(NEW)}", Refusal.MALFORMED_HEADER),
        (f"t= {NOW_S},v1={v1(NEW)}", Refusal.MALFORMED_HEADER),
        (f"t={'9' * 400},v1={v1(NEW)}", Refusal.MALFORMED_HEADER),
        (f"t={NOW_S},{v1(NEW)}", Refusal.MALFORMED_HEADER),
        (f"t={NOW_S}" + f",v1={v1(OTHER)}" * SIGNATURES_MAX + f",v1={v1(NEW)}", Refusal.MALFORMED_HEADER),
        (f"t={NOW_S},v1={v1(NEW)},v0=" + "a" * HEADER_BYTES_MAX, Refusal.MALFORMED_HEADER),
        (f"t={NOW_S},v1=", Refusal.NO_MATCH),
        (f"t={NOW_S},v1={v1(NEW).upper()}", Refusal.NO_MATCH),
        (f"t={NOW_S},v0={v1(NEW)},v1={v1(OTHER)}", Refusal.NO_MATCH),
        (f"t={NOW_S},v1=é{v1(NEW)}".encode("latin-1"), Refusal.NO_MATCH),
        (f"t={NOW_S},v1={v1(NEW)[:-1]}", Refusal.NO_MATCH),
        (f"t={NOW_S + 1},v1={v1(NEW)}", Refusal.NO_MATCH),
        (f"t=0{NOW_S},v1={v1(NEW)}", Refusal.NO_MATCH),
    ],
    ids=lambda value: None if isinstance(value, Refusal) else "",
)
def test_bad_headers_are_refused_for_their_reason(header: str | bytes, expected: Refusal) -> None:
    """Each kind of bad header has its own reason."""
    assert judge(header) is expected


def test_as_many_signatures_as_allowed_are_looked_at() -> None:
    """The last of eight signatures counts like the first."""
    header = f"t={NOW_S}" + f",v1={v1(OTHER)}" * (SIGNATURES_MAX - 1) + f",v1={v1(NEW)}"
    assert judge(header) == Verified(fingerprint(NEW), 0)


@pytest.mark.parametrize("secrets", [(), ("",), ("  ",), (NEW, "")])
def test_no_verifier_without_real_secrets(secrets: tuple[str, ...]) -> None:
    """A missing or blank secret, which would verify anything, is an error at the start."""
    with pytest.raises(ValueError, match="secret"):
        StripeVerifier(secrets)


def test_an_altered_body_is_refused() -> None:
    """One byte more, less or other, or the same JSON written out anew, does not carry the signature."""
    header = sign(BODY, NEW, NOW_S)
    altered = [BODY + b" ", BODY[:-1], BODY.replace(b"evt_1", b"evt_2"), BODY.replace(b": ", b":")]
    assert [judge(header, body) for body in altered] == [Refusal.NO_MATCH] * 4


def test_a_body_that_is_no_text_is_judged_all_the_same() -> None:
    """Bytes are signed, so bytes that are not UTF-8 are believed when they are signed."""
    body = b"\xff\xfe\x00"
    assert judge(sign(body, NEW, NOW_S), body) == Verified(fingerprint(NEW), 0)


def test_a_fingerprint_gives_nothing_away() -> None:
    """Different secrets have different fingerprints, and a fingerprint holds no part of its secret."""
    names = {fingerprint(secret) for secret in (OLD, NEW, OTHER)}
    assert len(names) == 3
    assert all(len(name) == 12 and name not in OLD + NEW + OTHER for name in names)


@given(header=st.binary(max_size=300), body=st.binary(max_size=300))
def test_no_bytes_make_it_raise_or_believe(header: bytes, body: bytes) -> None:
    """Whatever the header and the body are, the answer is a reason."""
    assert isinstance(judge(header, body), Refusal)


@given(
    timestamp=st.from_regex(rb"[0-9]{1,12}", fullmatch=True), signatures=st.lists(st.binary(max_size=70), max_size=9)
)
def test_well_formed_headers_without_the_secret_are_never_believed(timestamp: bytes, signatures: list[bytes]) -> None:
    """Any timestamp with any guessed signatures is no match."""
    guessed = SignatureHeader(timestamp, tuple(signatures))
    assert StripeVerifier((NEW,)).verify(guessed, BODY, NOW_S) is Refusal.NO_MATCH
