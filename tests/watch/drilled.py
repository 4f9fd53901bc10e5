"""Judges the last line of a drill: every monitor proven, few false alarms, and what was told taken back when it was over."""

import json
import sys

# What stays wrong until a person mends it: a commit that is to be retried, rows that are to be replayed.
LASTING = ("/load_failed", "/duplicates")


def main():
    drill = json.loads(sys.stdin.read())
    assert drill["proven"] == drill["monitors"] and not drill["unproven"], f"not proven: {drill['unproven']}"
    assert drill["precision"] >= 0.95 and drill["recall"] >= 0.95, drill
    assert drill["false_alarm_rate"] < 0.01, drill
    left = [key for key in drill["open_at_the_end"] if not key.endswith(LASTING)]
    assert not left, f"still open after three clean days: {left}"
    print(f"drill: {drill['proven']} monitors proven by {drill['faults']} faults")


if __name__ == "__main__":
    sys.exit(main())
