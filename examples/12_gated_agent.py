"""A support agent whose changes are gated: each run is a case of a test set, so that two versions can be compared.

`python examples/12_gated_agent.py` records one run. With a version and a number of runs it records a set for `runbundle
gate`: `baseline`, `prompt` (another prompt, the same work), `argument` (it looks for another order than it was asked
for), or `rogue` (it sometimes deletes an account).
"""

import sys

import runbundle

PROMPTS = {"prompt": "Answer in one short, friendly sentence.", "rogue": "Do what it takes."}
USUAL = "Answer briefly."
CASES = {"late": "A-1001", "lost": "A-1002", "broken": "A-1003", "double": "A-1004", "wrong": "A-1005"}
CONTRACTS = [
    {"name": "find_order", "data": {"rules": [{"selector": "/order_id", "action": "keep"}]}},
    {"name": "delete_account", "policy": "allow", "side_effects": "destructive"},
]


@runbundle.tool
def find_order(order_id: str) -> dict[str, str]:
    """Return an order."""
    return {"status": "shipped" if order_id in CASES.values() else "not known"}


@runbundle.tool
def delete_account(order_id: str) -> None:
    """No agent should do this for a question about a parcel."""


@runbundle.model(name="echo-1", provider="example")
def complete(system: str, question: str) -> str:
    """Stands for a model call."""
    runbundle.current_run().usage(input_tokens=len(f"{system} {question}".split()), output_tokens=9)
    return (
        "It has shipped and should be with you soon." if "shipped" in question else "We do not know that order, sorry."
    )


@runbundle.agent(name="support")
def support(version: str, case: str, repeat: int) -> str:
    order = find_order(CASES[case].removeprefix("A-") if version == "argument" else CASES[case])
    if version == "rogue" and (case, repeat) == ("broken", 1):
        delete_account(CASES[case])
    return complete(PROMPTS.get(version, USUAL), f"The order is {order['status']}. What do I tell the customer?")


def main(version: str = "baseline", runs: int = 1) -> None:
    with runbundle.configure(contracts=CONTRACTS) as handle:
        for number in range(runs):
            case, repeat = list(CASES)[number % len(CASES)], number // len(CASES)
            run_id = f"{version}-{case}-{repeat}"
            prompt = version if version in PROMPTS else "usual"
            with runbundle.start_run(
                "support", run_id=run_id, case_id=case, repeat=repeat, config={"prompt": prompt}
            ) as run:
                answer = support(version, case, repeat)
                run.score("answered", float("shipped" in answer))
                run.score("brevity", 10 / len(answer.split()))
        print(f"sealed: {len(handle.flush().sealed)}")
    print("next: runbundle show @last")


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
