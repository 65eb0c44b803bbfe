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


def fields(value: object, path: str = "") -> dict[str, object]:
    """Return the values of a payload by their paths."""
    if not isinstance(value, dict):
        return {path: value}
    return {p: v for key, inner in value.items() for p, v in fields(inner, f"{path}/{key}").items()}


def main() -> None:
    arguments = {"restaurant": "Luigi", "guest": {"name": "Ada Byron", "phone": "+44 20 7946 0000"}, "party": 2}
    with runbundle.configure(contracts=[CONTRACT]) as handle:
        with runbundle.start_run("booking"):
            returned = book_table(**arguments)
        key = handle.flush().sealed[-1]
        stored = json.loads(handle.store.get(f"{key}/tool_calls.json"))["calls"][0]
    for title, before, after in (
        ("ARGUMENT", fields(arguments), fields(stored["arguments"]["view"])),
        ("RESULT", fields(returned), fields(stored["result"]["view"])),
    ):
        print(f"{title:<15}{'THE TOOL SAW':<19}THE BUNDLE HAS")
        unnamed = iter([f"{path[1:]} = {value}" for path, value in after.items() if path not in before])
        for path, value in before.items():
            kept = after[path] if path in after else next(unnamed)
            print(f"{path:<15}{value!s:<19}{kept}")
    print("next: runbundle tools @last")


if __name__ == "__main__":
    main()
