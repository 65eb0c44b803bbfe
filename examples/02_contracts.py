"""A tool contract, before and after: what the tool saw, and what its bundle keeps."""

import json

import runbundle
from runbundle import DataHandling, FieldRule, ToolContract

CONTRACT = ToolContract(
    name="book_table",
    version="1",
    side_effects="write",
    input_schema={
        "type": "object",
        "properties": {
            "restaurant": {"type": "string"},
            "guest": {"type": "object", "properties": {"name": {}, "phone": {}}},
            "party": {"type": "integer"},
        },
    },
    data=DataHandling(
        rules=(
            FieldRule(selector="/restaurant", action="keep"),
            FieldRule(selector="/party", action="keep"),
            FieldRule(selector="/guest/name", data_class="personal"),  # a keyed digest: equal names stay equal
            FieldRule(selector="/guest/phone", data_class="personal", action="mask", keep_last=2),
            FieldRule(selector="/confirmation", target="output", action="keep"),
        )
    ),
)


@runbundle.tool
def book_table(restaurant: str, guest: dict[str, str], party: int) -> dict[str, str]:
    return {"confirmation": "R-77", "door_code": "4711"}


def main() -> None:
    arguments = {"restaurant": "Luigi", "guest": {"name": "Ada Byron", "phone": "+44 20 7946 0000"}, "party": 2}
    with runbundle.configure(contracts=[CONTRACT]) as handle:
        with runbundle.start_run("booking"):
            returned = book_table(**arguments)
        key = handle.flush().sealed[-1]
        stored = json.loads(handle.store.get(f"{key}/tool_calls.json"))["calls"][0]
    for title, before, after in (
        ("arguments", arguments, stored["arguments"]["view"]),
        ("result", returned, stored["result"]["view"]),
    ):
        print(f"{title}\n  the tool saw    {json.dumps(before)}\n  the bundle has  {json.dumps(after)}")
    print("next: runbundle tools @last")


if __name__ == "__main__":
    main()
