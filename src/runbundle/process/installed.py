"""Versions of installed packages, as `importlib.metadata` says them, which loads all that reads mail to read one line.

What is here has the names that it has there.
"""

import os
import re
import sys
from contextlib import suppress
from importlib.machinery import PathFinder


class _Unsure(Exception):
    """`importlib.metadata` has to be asked."""


class PackageNotFoundError(LookupError):
    """The distribution is not installed."""


def version(distribution: str) -> str:
    """Return the version of an installed distribution. Raises `PackageNotFoundError`.

    Where metadata lies otherwise than pip puts it (in a zip file, as an egg, twice, behind an import hook that says
    what is installed), `importlib.metadata` is loaded and asked, and may raise `ValueError` too.
    """
    with suppress(_Unsure, OSError, UnicodeError, AttributeError, TypeError):  # the last two: no texts in sys.path
        return _version_in(_folder_of(distribution))
    from importlib import metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        raise PackageNotFoundError(distribution) from None


def _folder_of(distribution: str) -> str:
    """Return the folder of a distribution's metadata. Raises `PackageNotFoundError`, and `_Unsure`."""
    if any(hasattr(finder, "find_distributions") and finder is not PathFinder for finder in sys.meta_path):
        raise _Unsure
    wanted = _normalized(distribution)
    first = wanted[:1]
    for place in sys.path:
        if place.lower().rstrip("/").endswith(".egg"):
            raise _Unsure
        try:
            names = os.listdir(place or ".")  # noqa: PTH208 - names are enough, and paths take ten times as long
        except FileNotFoundError:
            continue
        found = [
            name for name in names
            if name[:1].lower() == first and name.lower().endswith((".dist-info", ".egg-info"))
            and _normalized(name.rpartition(".")[0].partition("-")[0]) == wanted
        ]  # fmt: skip
        if len(found) > 1 or (found and not found[0].lower().endswith(".dist-info")):
            raise _Unsure
        if found:
            return os.path.join(place, found[0])  # noqa: PTH118 - as short as it was given
    raise PackageNotFoundError(distribution)


def _version_in(folder: str) -> str:
    with open(f"{folder}/METADATA", encoding="utf-8") as file:
        for line in file:
            name, colon, value = line.partition(":")
            if not colon:  # the end of what is in lines of this form, or one of another
                break
            if name.lower() == "version":
                value = value.strip(" \t\n")
                if value.isascii() and value and not next(file, "").startswith((" ", "\t")):
                    return value
                break
    raise _Unsure


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()
