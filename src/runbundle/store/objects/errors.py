"""Translates errors of object stores into ours.

Their texts contain URLs, which may be signed. So only codes are taken from them, and they are never chained to ours.
"""

import re

from runbundle.errors import AlreadyExists, KeyChanged, KeyNotFound, StoreError, StoreUnavailable

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z]{1,60})</Code>")
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound")
_AGAIN = (408, 409, 425, 429)


def status_of(error: Exception) -> int:
    """Return the HTTP status in an error; 0 if the server gave no answer."""
    found = _STATUS.search(str(error))
    return int(found[1]) if found else 0


def worth_another_try(error: Exception) -> bool:
    """Tell whether the same request may succeed later: no answer, throttled, or a fault of the server."""
    import obstore.exceptions as of

    if isinstance(error, FileNotFoundError | of.PermissionDeniedError | of.UnauthenticatedError):
        return False
    status = status_of(error)
    if isinstance(error, of.AlreadyExistsError | of.PreconditionError):
        return status == 409  # a concurrent request for the key; neither has won yet
    return status >= 500 or status in _AGAIN or (status == 0 and "HttpError" in str(error))


def translated(error: Exception, what: str, key: str, url: str) -> StoreError:
    """Return the `StoreError` to raise for an error of obstore.

    `what` is the verb of the failed request on `key`, such as `read`; `url` is the URL of the store. A `StoreError` is
    returned as it is.
    """
    import obstore.exceptions as of

    if isinstance(error, StoreError):
        return error
    text = str(error)
    code = _CODE.search(text)
    if isinstance(error, FileNotFoundError) and not any(name in text for name in _NO_BUCKET):
        return KeyNotFound(f"nothing is stored under {key}", hint=f"the store is {url}")
    if isinstance(error, of.AlreadyExistsError):
        return AlreadyExists(f"{key} exists already")
    if isinstance(error, of.PreconditionError):
        return KeyChanged(f"{key} has changed meanwhile")
    status = status_of(error)
    hint = ""
    if any(name in text for name in _NO_BUCKET):
        reason, hint = "there is no such bucket", "make it, or correct the URL of the store"
    elif "169.254." in text or "redential" in text:  # the address that the client tries last for credentials
        reason, hint = "no credentials were found", "set the provider's variables, such as AWS_ACCESS_KEY_ID"
    elif isinstance(error, of.PermissionDeniedError | of.UnauthenticatedError) or status in (401, 403):
        reason = f"refused ({code[1] if code else status})"
        hint = "check the credentials in the environment and what they permit"
    elif status:
        reason = f"the server answered {status}{f' {code[1]}' if code else ''}"
    elif "kind: Timeout" in text:
        reason, hint = "no answer in time", "try again, or set timeout_s in the URL of the store"
    else:
        reason, hint = "no connection", "is the server running, and its endpoint right?"
    return StoreUnavailable(f"cannot {what} {key or 'keys'} in {url}: {reason}", hint=hint)
