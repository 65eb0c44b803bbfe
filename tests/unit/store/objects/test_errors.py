"""Errors of an object store's client become ours, and nothing of a signed URL comes along."""

import pytest
from obstore import exceptions as of

from runbundle.errors import AlreadyExists, KeyChanged, KeyNotFound, StoreError, StoreUnavailable
from runbundle.store.objects.errors import status_of, translated, worth_another_try

SIGNED = "https://host/b?X-Amz-Signature=CANARY"


def http(status: int, code: str = "") -> Exception:
    """An answer of the server."""
    return of.GenericError(f"HttpError {SIGNED} status code: {status}, <Code>{code}</Code>")


ERRORS: list[tuple[Exception, type[StoreError], str, bool]] = [
    (FileNotFoundError(f"Object at {SIGNED} not found"), KeyNotFound, "nothing is stored under run/a", False),
    (FileNotFoundError("NoSuchBucket"), StoreUnavailable, "no such bucket", False),
    (of.AlreadyExistsError(SIGNED), AlreadyExists, "run/a exists already", False),
    (of.AlreadyExistsError("status code: 409"), AlreadyExists, "run/a exists already", True),
    (of.PreconditionError(SIGNED), KeyChanged, "run/a has changed", False),
    (of.PermissionDeniedError(f"{SIGNED} status code: 403"), StoreUnavailable, "refused", False),
    (of.UnauthenticatedError(f"{SIGNED} status code: 401"), StoreUnavailable, "refused", False),
    (of.GenericError("no Credential found"), StoreUnavailable, "no credentials", False),
    (http(503, "SlowDown"), StoreUnavailable, "answered 503 SlowDown", True),
    (http(429), StoreUnavailable, "answered 429", True),
    (http(400), StoreUnavailable, "answered 400", False),
    (of.GenericError("HttpError kind: Timeout"), StoreUnavailable, "no answer in time", True),
    (of.GenericError("HttpError kind: Connect"), StoreUnavailable, "no connection", True),
]


@pytest.mark.parametrize(("error", "kind", "says", "again"), ERRORS)
def test_each_error_says_what_happened_and_whether_to_try_again(
    error: Exception, kind: type[StoreError], says: str, again: bool
) -> None:
    """The most specific of our errors, with the key and the store in its text, and only codes of the server's."""
    ours = translated(error, "read", "run/a", "s3://bucket")
    assert type(ours) is kind
    assert says in str(ours)
    assert "CANARY" not in str(ours)
    assert worth_another_try(error) is again


def test_an_error_of_ours_is_passed_on() -> None:
    """It was translated before."""
    ours = KeyChanged("x")
    assert translated(ours, "read", "k", "s3://bucket") is ours


def test_the_status_is_the_servers_or_zero() -> None:
    """Zero means that there was no answer."""
    assert (status_of(http(503)), status_of(of.GenericError("no route"))) == (503, 0)
