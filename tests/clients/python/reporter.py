"""Runs the tests in a folder and prints one JSON line for each: reporter.py FOLDER."""
import faulthandler
import json
import sys
import unittest

SECONDS_MAX = 60


class JsonReporter(unittest.TestResult):
    def startTest(self, test):
        super().startTest(test)
        # Ends a test that hangs, and shows where.
        faulthandler.dump_traceback_later(SECONDS_MAX, exit=True)

    def addSuccess(self, test):
        self.report(test)

    def addFailure(self, test, error):
        self.report(test, error)

    def addError(self, test, error):
        self.report(test, error)

    def addSkip(self, test, reason):
        self.report(test, skipped=reason)

    def addSubTest(self, test, subtest, error):
        if error:
            self.report(test, error)

    def report(self, test, error=None, skipped=None):
        name = test.id().split('.')[-1].removeprefix('test_').replace('_', ' ')
        failure = error and self._exc_info_to_string(error, test)
        print(json.dumps({'name': name, 'failure': failure, 'skipped': skipped}), flush=True)


unittest.defaultTestLoader.discover(sys.argv[1]).run(JsonReporter())
