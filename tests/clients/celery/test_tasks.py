"""A Celery application and its workers, with results over rpc:// on the same broker."""
import itertools
import os
import unittest
from datetime import datetime, timedelta, timezone

from broker import close_as_operator, managed, unique

NAME = unique('tasks')
os.environ['TASK_QUEUE'] = NAME

from celery import chain, group, states  # noqa: E402  it reads the environment
from tasks import add, app, fail, hold, succeed_at_retry, turn  # noqa: E402
from worker import Worker  # noqa: E402

SECONDS = 20
numbers = itertools.count(1)


class Tasks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.worker = cls.start_worker()

    @classmethod
    def tearDownClass(cls):
        app.control.shutdown()
        assert cls.worker.end() == 0, ''.join(cls.worker.printed)
        app.close()

    @classmethod
    def start_worker(cls):
        worker = Worker(next(numbers), WORKER_NAME=f'{NAME}-worker')
        worker.prints(' ready.')
        return worker

    def test_a_task_runs_and_returns_its_result(self):
        self.assertEqual(add.delay(2, 3).get(SECONDS), 5)

    def test_a_group_and_a_chain(self):
        self.assertEqual(group(add.s(i, i) for i in range(10))().get(SECONDS), [2 * i for i in range(10)])
        self.assertEqual(chain(add.s(1, 2), add.s(3), add.s(4))().get(SECONDS), 10)

    def test_a_failure_is_returned_too(self):
        with self.assertRaisesRegex(ValueError, 'no luck'):
            fail.delay('no luck').get(SECONDS)

    def test_a_task_is_retried_with_a_countdown(self):
        self.assertEqual(succeed_at_retry.delay(2).get(SECONDS), 2)

    def test_a_task_waits_for_its_time(self):
        eta = datetime.now(timezone.utc) + timedelta(milliseconds=300)
        self.assertEqual(add.apply_async((1, 1), eta=eta).get(SECONDS), 2)
        self.assertGreaterEqual(datetime.now(timezone.utc), eta)

    def test_a_task_that_is_late_is_revoked(self):
        late = add.apply_async((1, 1), expires=datetime.now(timezone.utc) - timedelta(seconds=1))
        with self.assertRaisesRegex(Exception, 'expired'):
            late.get(SECONDS)
        self.assertEqual(late.state, states.REVOKED)

    def test_a_worker_obeys_remote_control_and_reports(self):
        (pong,) = app.control.ping(timeout=SECONDS, limit=1)
        self.assertEqual(list(pong.values()), [{'ok': 'pong'}])
        self.assertEqual(self.queues_of_worker(), [NAME])

    def queues_of_worker(self):
        (queues,) = app.control.inspect(timeout=SECONDS, limit=1).active_queues().values()
        return [queue['name'] for queue in queues]

    def test_higher_priorities_are_done_first(self):
        app.control.cancel_consumer(NAME)
        while self.queues_of_worker():
            pass
        results = {priority: turn.apply_async(priority=priority) for priority in (0, 9, 5)}
        app.control.add_consumer(NAME)
        turns = {priority: result.get(SECONDS) for priority, result in results.items()}
        self.assertEqual(sorted(turns, key=turns.get), [9, 5, 0])

    def test_a_worker_that_died_leaves_its_task_to_another(self):
        def see(message):
            if message['status'] == 'HELD':
                self.worker.kill()
                type(self).worker = self.start_worker()

        self.assertEqual(hold.delay().get(SECONDS, on_message=see), 'redelivered')

    @managed
    def test_a_worker_reconnects_after_the_operator_closed_its_connections(self):
        close_as_operator(f'{NAME}-worker')
        self.worker.prints('Connected to')
        self.assertEqual(add.delay(4, 5).get(SECONDS), 9)
