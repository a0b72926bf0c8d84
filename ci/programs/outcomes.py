"""Runs modules of Python's own tests and writes each test's outcome, sorted by name. Usage: outcomes.py FILE MODULE..."""
import sys
import unittest


class Outcomes(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.of = {}

    def startTest(self, test):
        super().startTest(test)
        self.of[test.id()] = "passed"

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.of[test.id()] = "skipped"

    def broken(self, test, error):
        self.of[test.id()] = "failed"
        print(test.id(), self._exc_info_to_string(error, test), file=sys.stderr)

    def addFailure(self, test, error):
        self.broken(test, error)

    def addError(self, test, error):
        self.broken(test, error)


outcomes = Outcomes()
unittest.defaultTestLoader.loadTestsFromNames(sys.argv[2:]).run(outcomes)
with open(sys.argv[1], "w") as file:
    for name, outcome in sorted(outcomes.of.items()):
        print(name, outcome, file=file)
sys.exit("failed" in outcomes.of.values())
