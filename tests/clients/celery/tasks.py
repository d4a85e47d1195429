"""The Celery application that the tests' workers run: TASK_QUEUE is its queue, WORKER_NAME its connections' name."""
import itertools
import os
import sys
import threading

from broker import URL
from celery import Celery, Task
from kombu import Queue

NAME = os.environ.get('TASK_QUEUE', 'tasks')
TYPE = os.environ.get('TASK_QUEUE_TYPE', 'classic')
FOR_TYPE = {'classic': {'max_priority': 9}, 'quorum': {'queue_arguments': {'x-queue-type': 'quorum'}}}

app = Celery('tasks', broker=f'{URL}//' if URL.count('/') < 3 else URL, backend='rpc://')
app.conf.update(
    task_queues=[Queue(NAME, routing_key=NAME, expires=60, **FOR_TYPE[TYPE])],
    task_default_queue=NAME,
    task_default_exchange_type='topic' if TYPE == 'quorum' else 'direct',
    task_default_exchange=f'{NAME}-exchange',
    task_default_routing_key=NAME,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    broker_heartbeat=10,
    broker_transport_options={
        'confirm_publish': True,
        'client_properties': {'connection_name': os.environ.get('WORKER_NAME', '')},
    },
)


def end_with_the_tests():
    """Ends the worker with the tests, whose end closes its standard input."""
    sys.stdin.read()
    os._exit(1)


if 'IS_WORKER' in os.environ:
    threading.Thread(target=end_with_the_tests, daemon=True).start()

numbers = itertools.count()


@app.task
def add(x, y):
    return x + y


@app.task
def turn():
    """Returns the number of earlier calls."""
    return next(numbers)


@app.task
def fail(text):
    raise ValueError(text)


@app.task(bind=True)
def succeed_at_retry(self: Task, number):
    if self.request.retries < number:
        raise self.retry(countdown=0.01)
    return self.request.retries


@app.task(bind=True, acks_late=True, reject_on_worker_lost=True)
def hold(self: Task):
    """Never ends, except when it is redelivered."""
    if self.request.delivery_info['redelivered']:
        return 'redelivered'
    self.update_state(state='HELD')
    threading.Event().wait()
