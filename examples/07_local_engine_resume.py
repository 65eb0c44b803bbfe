"""An engine without a framework that is killed half-way and goes on in a new process, by RunState over a run store.

The state is saved after each step. The second process takes the run over by its lease, goes on with the step that the
first did not finish, and under the run id it had: one run, one bundle.
"""

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import runbundle
from runbundle.runstate import RunState, RunStore, from_url

QUESTIONS = ["What is a flight recorder?", "Who reads one?", "And when?"]


@runbundle.model(name="echo-1", provider="example")
def complete(prompt: str) -> str:
    """Answer; the first process does not survive the second question."""
    if os.environ.get("KILLED_HERE") and prompt == QUESTIONS[1]:
        os.kill(os.getpid(), signal.SIGKILL)
    return prompt.upper()


def engine(state: RunState, store: RunStore, **fence: object) -> RunState:
    """Answer one question a step, and save after each."""
    while state.step < len(QUESTIONS):
        with runbundle.start_step(f"question-{state.step}"):
            answer = complete(QUESTIONS[state.step])
        state = state.model_copy(update={"step": state.step + 1, "messages": [*state.messages, answer]})
        state = state.save(store, **fence)
    return state


def begin(run_id: str, store: RunStore) -> None:
    """Begin the run."""
    with runbundle.start_run("interview", run_id=run_id):
        engine(RunState(run_id=run_id).save(store), store)


def go_on(run_id: str, store: RunStore) -> None:
    """Take the run over from a process that is gone. A second one that tried the same would be refused."""
    state, lease = RunState.resume(store, run_id, owner="second process", ttl_s=60)
    with runbundle.start_run("interview", run_id=run_id, resumed_from=state.checkpoint_id) as run:
        state = engine(state, store, fence=lease)
        run.set_result(state.messages)
    print(f"resumed after step {state.step - 2}: {len(state.messages)} answers")


def main() -> None:
    """Have two processes do the work, the first of which is killed."""
    run_id = uuid.uuid4().hex
    for part in ("begin", "go_on"):
        environment = {**os.environ, "KILLED_HERE": "1" if part == "begin" else ""}
        subprocess.run([sys.executable, __file__, part, run_id], env=environment, check=False)
    print("next: runbundle show @last")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        with runbundle.configure(), from_url(f"sqlite://{Path('run-state.sqlite').resolve()}") as state_store:
            {"begin": begin, "go_on": go_on}[sys.argv[1]](sys.argv[2], state_store)
    else:
        main()
