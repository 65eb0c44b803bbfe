"""What is drawn: the same from the same name, on every Python."""

import random
import string
from collections.abc import Sequence
from typing import TypeVar

_T = TypeVar("_T")

ALPHABETS = {
    "a": string.ascii_letters + string.digits,
    "b": string.ascii_letters + string.digits + "+/",
    "d": string.digits,
    "h": "0123456789abcdef",
    "H": "0123456789ABCDEF",
    "l": string.ascii_lowercase + string.digits,
    "L": string.ascii_lowercase,
    "U": string.ascii_uppercase + string.digits,
    "w": string.ascii_letters + string.digits + "_-",
}
WORDS = (
    "parcel", "order", "refund", "invoice", "weather", "berlin", "ticket", "shelf", "label", "delay", "carrier",
    "customer", "answer", "route", "window", "depot", "Tuesday", "please", "where", "the", "is", "late", "when",
    "to", "of", "my", "and", "list", "open", "closed", "approved", "pending",
)  # fmt: skip
PEOPLE = ("Ada Lovelace", "Grace Hopper", "Zoë Müller", "Jean-Luc Moreau", "Li Wei", "Olga Petrova", "Sam O'Neill")
ODD_TEXTS = (
    "", " ", "ü", "日本語のテキスト", "emoji 🙂 here", "a\u200bb", "line\nbreak", "tab\there", "nul\x00byte",
    "\x1b[31mred\x1b[0m", "\uff26\uff35\uff2c\uff2c\u3000\uff57ide", "right\u202eleft",
    "İstanbul", "ß", '"quoted"', "back\\slash",
    "</script>", "%41%42", "&#65;", "{not json", "[1, 2", "nul", "true", "null", "123", "1e400", "…[+3]",
)  # fmt: skip


class Draw:
    """Draws by `random()` alone, whose sequence Python guarantees to be the same in all versions."""

    def __init__(self, name: str) -> None:
        self._random = random.Random(f"runbundle vectors 1/{name}").random

    def below(self, limit: int) -> int:
        """Return a number from 0 up to, and without, the limit."""
        return int(self._random() * limit)

    def between(self, least: int, most: int) -> int:
        """Return a number from `least` to `most`."""
        return least + self.below(most - least + 1)

    def one(self, items: Sequence[_T]) -> _T:
        """Return one of the items."""
        return items[self.below(len(items))]

    def some(self, items: Sequence[_T], least: int, most: int) -> list[_T]:
        """Return so many different items, in an order that is drawn too."""
        left, found = list(items), list[_T]()
        for _ in range(min(self.between(least, most), len(left))):
            found.append(left.pop(self.below(len(left))))
        return found

    def chance(self, one_in: int) -> bool:
        """Tell yes once in so many times."""
        return self.below(one_in) == 0

    def of(self, alphabet: str, size: int) -> str:
        """Return so many characters of an alphabet, which is named by a letter or given."""
        characters = ALPHABETS.get(alphabet, alphabet)
        return "".join([characters[self.below(len(characters))] for _ in range(size)])

    def prose(self, least: int = 3, most: int = 8) -> str:
        """Return words with blanks between them."""
        return " ".join(self.one(WORDS) for _ in range(self.between(least, most)))

    def person(self) -> str:
        """Return a name of a person."""
        return self.one(PEOPLE)

    def mail(self) -> str:
        """Return an e-mail address."""
        return f"{self.one(WORDS).lower()}.{self.of('l', 4)}@example.org"

    def phone(self) -> str:
        """Return a telephone number."""
        return f"+49 30 {self.of('d', 3)} {self.of('d', 4)}"

    def name(self) -> str:
        """Return what a developer would call something."""
        return f"{self.one(WORDS).lower()}_{self.one(WORDS).lower()}"

    def password(self) -> str:
        """Return what a person may have typed for a password."""
        return f"{self.one(('Tr0ub4dor', 'hunter2', 'c0rrect', 'Winter!'))}{self.one('&#!$')}{self.of('a', 5)}9"

    def token(self) -> str:
        """Return a token of no vendor's."""
        return self.of("a", 20) + "7" + self.of("a", 8) + "3x"
