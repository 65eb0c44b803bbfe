"""A run waits for its seal once, at the earliest time anybody gave, and no record that is said of it goes uncounted."""

from runbundle.format.identity import RunKey
from runbundle.recording.due import Due, DueRuns

RUN, OTHER = RunKey("", "r"), RunKey("", "s")


def test_a_run_is_taken_once_its_time_has_come() -> None:
    """Not before, and not twice."""
    due = DueRuns()
    due.expect(RUN, Due(5.0, 9.0))
    due.expect(OTHER, Due(3.0, 9.0))
    assert due.first_at() == 3.0
    assert due.take(2.0) is None
    assert due.take(3.0) == (OTHER, Due(3.0, 9.0))
    assert due.take(4.0) is None
    assert due.keys() == [RUN]


def test_a_run_that_settles_is_tried_at_the_earlier_time_with_all_its_records() -> None:
    """Said twice, a run waits once: settled, at the earlier time, with the sum of its records and the last trace."""
    due = DueRuns()
    due.expect(RUN, Due(5.0, 9.0, records=2, trace_id="a"))
    due.expect(RUN, Due(4.0, 4.0, settled=True, records=3, trace_id="b"))
    assert due.take(4.0) == (RUN, Due(4.0, 9.0, settled=True, records=5, trace_id="b"))


def test_what_is_more_than_a_part_takes_the_place_of_a_part() -> None:
    """A run that ends here replaces a part that waited, and takes its records over; not the other way round."""
    due = DueRuns()
    due.expect(RUN, Due(5.0, 9.0, settled=True, part=True, records=2))
    due.expect(RUN, Due(7.0, 8.0, records=1))
    due.put_back(RUN, Due(1.0, 1.0, part=True, records=4))
    assert due.take(7.0) == (RUN, Due(7.0, 8.0, records=7))


def test_records_are_in_one_hand() -> None:
    """A writer that goes on with a journal takes its records; the entry that waits has none then."""
    due = DueRuns()
    due.expect(RUN, Due(5.0, 9.0, records=2))
    assert (due.take_records(RUN), due.take_records(RUN), due.take_records(OTHER)) == (2, 0, 0)


def test_what_was_put_off_can_be_hurried() -> None:
    """Parts and what was tried in vain are tried now; others keep their time."""
    due = DueRuns()
    due.expect(RUN, Due(50.0, 90.0, tries=3))
    due.expect(OTHER, Due(60.0, 90.0))
    assert due.untried() == [OTHER]
    due.hurry(1.0)
    assert due.untried() == [RUN, OTHER]
    assert due.take(1.0) == (RUN, Due(1.0, 90.0))
    assert due.first_at() == 60.0
