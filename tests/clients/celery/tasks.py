"""The Celery application that the tests' workers run.

TASK_QUEUE names its queue, TASK_QUEUE_TYPE is of what type it is, WORKER_NAME what the connections call themselves.
"""
import itertools
import os
import threading

from broker import URL
from celery import Celery, Task
from kombu import Exchange, Queue


def application(name, type):
    """An application whose one queue has this name and type."""
    made = Celery('tasks', broker=URL, backend='rpc://', set_as_current=False)
    made.conf.update(
        task_queues=[Queue(name, Exchange(f'{name}-exchange', 'topic'), name, expires=60, **TYPES[type])],
        task_default_queue=name,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_heartbeat=10,
        broker_transport_options={
            'confirm_publish': True,
            'client_properties': {'connection_name': os.environ.get('WORKER_NAME', '')},
        },
    )
    return made


TYPES = {'classic': {'max_priority': 9}, 'quorum': {'queue_arguments': {'x-queue-type': 'quorum'}}}

app = application(os.environ['TASK_QUEUE'], os.environ.get('TASK_QUEUE_TYPE', 'classic'))
numbers = itertools.count()


@app.task
def add(x, y):
    return x + y


@app.task
def turn():
    """How many asked before."""
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
    """Never ends, unless it comes a second time."""
    if self.request.delivery_info['redelivered']:
        return 'redelivered'
    self.update_state(state='HELD')
    threading.Event().wait()
