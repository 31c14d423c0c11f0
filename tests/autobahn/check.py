"""Judges the reports of an Autobahn run. Fails unless every case ran and was OK.

usage: check.py REPORTS [--deflate[=short]]"""

import collections
import json
import pathlib
import sys

# How many cases each group has in version 0.8.2, so that a run that skips some cannot pass.
CASES = {1: 16, 2: 11, 3: 7, 4: 10, 5: 20, 6: 145, 7: 37, 9: 54, 10: 1}
DEFLATE_CASES = {12: 90, 13: 126}
SHORT_DEFLATE_CASES = {12: 15, 13: 21}

# The suite has no opinion on these, and never calls them OK: what follows a Close (7.1.6),
# and close codes beyond 4999 (7.13).
INFORMATIONAL = {"7.1.6", "7.13.1", "7.13.2"}


def main(reports, *flags):
    deflate = {(): {}, ("--deflate=short",): SHORT_DEFLATE_CASES}.get(flags, DEFLATE_CASES)
    expected = CASES | deflate
    index = reports / "index.json"
    agents = json.loads(index.read_text()) if index.exists() else {}
    if len(agents) != 1:
        sys.exit(f"the reports are of {len(agents)} agents instead of one: {sorted(agents)}")
    [results] = agents.values()

    offending = [case for case in sorted(results, key=case_number) if not acceptable(case, results[case])]
    for case in offending:
        print(describe(case, results[case], reports))

    ran = collections.Counter(case_number(case)[0] for case in results)
    missing = {group: count - ran[group] for group, count in expected.items() if ran[group] != count}
    if missing:
        print(f"cases missing, by group: {missing}")

    for field in "behavior", "behaviorClose":
        counts = collections.Counter(result[field] for result in results.values())
        print(f"{field}: " + ", ".join(f"{count} {value}" for value, count in counts.most_common()))
    print(f"{len(results)} of {sum(expected.values())} cases ran, {len(offending)} not acceptable")
    sys.exit(bool(offending or missing))


def case_number(case):
    return [int(part) for part in case.split(".")]


def acceptable(case, result):
    allowed = {"OK", "INFORMATIONAL"} if case in INFORMATIONAL else {"OK"}
    return {result["behavior"], result["behaviorClose"]} <= allowed


def describe(case, result, reports):
    report = json.loads((reports / result["reportfile"]).read_text())
    return (
        f"case {case}: behavior {result['behavior']}, behaviorClose {result['behaviorClose']}\n"
        f"  expected: {report['expectation']}\n"
        f"  result:   {report['result']}\n"
        f"  close:    {report['resultClose']}"
    )


main(pathlib.Path(sys.argv[1]), *sys.argv[2:])
