"""One run of plain functions. Needs no key and no network: `python examples/01_hello_run.py`."""

import runbundle


@runbundle.tool
def lookup(word: str) -> str:
    """A tool without a contract: its call is recorded, its arguments and result are not."""
    return {"bundle": "a set of things tied together"}.get(word, "unknown")


@runbundle.model(name="echo-1", provider="example")
def complete(prompt: str) -> str:
    """Stands for a model call."""
    runbundle.current_run().usage(input_tokens=len(prompt.split()), output_tokens=3)
    return f"It means: {prompt}"


@runbundle.run(config={"model": "echo-1", "temperature": 0})
def main() -> str:
    return complete(lookup("bundle"))


if __name__ == "__main__":
    with runbundle.configure() as handle:
        print(main())
        result = handle.flush()
    print(f"sealed: {result.sealed[-1]}")
    print("next: runbundle show @last")
