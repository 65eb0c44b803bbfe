"""The page of the format says what the tables in the code say."""

from tests.docs.format_page import PAGE, page


def test_the_page_is_what_the_tables_say() -> None:
    """`python -m tests.docs.format_page` writes it again."""
    assert PAGE.read_text() == page()
