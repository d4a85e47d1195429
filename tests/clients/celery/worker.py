"""A Celery worker in a process of its own."""
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PATH = os.pathsep.join([str(HERE), str(HERE.parent / 'python')])
# A single process without a pool, so that its end is the end of the worker.
COMMAND = [sys.executable, '-m', 'celery', '-A', 'tasks', 'worker', '--pool=solo', '--loglevel=INFO']


class Worker:
    def __init__(self, number, **environment):
        self.printed = []
        self.process = subprocess.Popen(
            [*COMMAND, f'--hostname=worker-{number}-{os.getpid()}@localhost'],
            cwd=HERE,
            env=os.environ | {'PYTHONPATH': PATH, 'IS_WORKER': 'yes'} | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def prints(self, text):
        """Reads its output until this line."""
        for line in self.process.stderr:
            self.printed.append(line)
            if text in line:
                return
        raise AssertionError(f'the worker ended before it printed "{text}":\n{"".join(self.printed)}')

    def kill(self):
        self.process.kill()
        self.end()

    def end(self):
        """Waits for its end, and returns the exit code."""
        for line in self.process.stderr:
            self.printed.append(line)
        self.process.stderr.close()
        self.process.stdin.close()
        return self.process.wait()
