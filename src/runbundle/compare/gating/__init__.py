"""Gates: is a candidate no worse than its baseline? A policy, two sets of runs, and one report."""
