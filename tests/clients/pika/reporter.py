"""Runs the pika tests and prints one JSON line for each; the broker's address is in AMQP_URL."""
import json
import unittest
from pathlib import Path


class JsonReporter(unittest.TestResult):
    def addSuccess(self, test):
        self.tell(test)

    def addFailure(self, test, error):
        self.tell(test, error)

    def addError(self, test, error):
        self.tell(test, error)

    def addSubTest(self, test, subtest, error):
        if error:
            self.tell(test, error)

    def tell(self, test, error=None):
        name = test.id().split('.')[-1].removeprefix('test_').replace('_', ' ')
        failure = error and self._exc_info_to_string(error, test)
        print(json.dumps({'name': name, 'failure': failure}), flush=True)


unittest.defaultTestLoader.discover(str(Path(__file__).parent)).run(JsonReporter())
