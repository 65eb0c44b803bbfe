"""The agent of the README's picture. It plans a trip, looks up the weather, and is killed while it books a room."""

import time

import runbundle

CONTRACTS = [{"name": "weather", "data": {"rules": [{"selector": "/city", "action": "keep"}]}}]


@runbundle.model(name="demo-1", provider="demo")
def plan(prompt: str) -> str:
    """Stand for a model."""
    time.sleep(0.84)
    runbundle.current_run().usage(input_tokens=412, output_tokens=38)
    return "Look up the weather, then book a room."


@runbundle.tool
def weather(city: str) -> dict[str, str]:
    """Look up the weather."""
    time.sleep(0.127)
    return {"sky": "rain"}


@runbundle.tool
def book_room(hotel: str, email: str) -> None:
    """Book a room. The hotel takes its time, and the process is killed meanwhile."""
    time.sleep(0.3)
    print(f"booking a room at {hotel} ...", flush=True)
    time.sleep(60)


@runbundle.agent(name="concierge")
def travel(wish: str) -> None:
    """Plan a trip and book it."""
    plan(wish)
    weather("Bremen")
    book_room("Hotel Luigi", email="ada@example.com")


if __name__ == "__main__":
    with runbundle.configure(contracts=CONTRACTS), runbundle.start_run("trip", run_id="trip-42", session_id="s-17"):
        travel("A night in Bremen, please. I am ada@example.com.")
