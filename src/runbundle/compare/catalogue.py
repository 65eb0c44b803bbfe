"""The catalogue of causes for which two runs differ, by code, most upstream first."""

from runbundle.format.findings import FindingSpec

CAUSES: dict[str, FindingSpec] = {
    "RB601": FindingSpec(
        "the configurations differ",
        "information",
        "comparison",
        "The two runs were given different configurations. Whatever else differs may follow from that.",
        "Look at the paths that diff names. If the change was meant, judge what followed from it; to find another"
        " cause, run both with one configuration.",
    ),
    "RB602": FindingSpec(
        "another model, engine or provider's package",
        "information",
        "comparison",
        "The two runs asked different models, or were made with different versions of the framework or of a provider's"
        " package.",
        "If the change was meant, judge what followed from it. Otherwise pin the version.",
    ),
    "RB603": FindingSpec(
        "a contract or a policy differs",
        "information",
        "comparison",
        "A tool had another contract, the redaction policy was another one, or the policy decided otherwise of the same"
        " call. Under another policy two bundles may show different parts of equal values.",
        "Compare the contracts: runbundle contracts explain. To compare values that only one bundle shows, record both"
        " under one policy.",
    ),
    "RB604": FindingSpec(
        "the system prompt differs",
        "information",
        "comparison",
        "The messages of the system in a prompt have other digests. The texts themselves are in no bundle.",
        "Look for the change of the prompt in your own repository; run.json names the commit of each run where it is"
        " known.",
    ),
    "RB605": FindingSpec(
        "the agent was asked something else",
        "information",
        "comparison",
        "The first model call that differs has the same system prompt and other messages, and no step before it"
        " differs: the runs were given different input.",
        "Compare runs of one case: start_run(case_id=...) says which case a run works on.",
    ),
    "RB606": FindingSpec(
        "other documents were found",
        "information",
        "comparison",
        "A retrieval was asked the same and found other documents, or found them in another order. No step before it"
        " differs.",
        "Look at the retriever's index: it was changed between the runs, or it does not answer the same twice.",
    ),
    "RB607": FindingSpec(
        "the world changed",
        "information",
        "comparison",
        "A tool was given the same arguments and answered otherwise, or failed in one run only. No step before it"
        " differs.",
        "The agent had no part in it. Compare runs against one state of the world, such as a recorded one.",
    ),
    "RB608": FindingSpec(
        "the agent chose otherwise",
        "information",
        "comparison",
        "All that the runs recorded before this step is equal, and the agent did something else: another tool, other"
        " arguments, another order, or another answer. That is the chance in the model, or the code of the agent.",
        "Run both several times and compare the sets: runbundle gate tells chance from change.",
    ),
    "RB609": FindingSpec(
        "the runs ended otherwise",
        "information",
        "comparison",
        "No step differs, but the runs have other results or another status. What came between the last step and the"
        " end is not recorded.",
        "Record that part: runbundle.start_step or a decorator on the function.",
    ),
}
"""What each code means, and what to do about it."""
