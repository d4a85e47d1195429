#!/usr/bin/env python3
"""Adds a task to the work queue: new_task.py First task..."""
import os
import sys

import pika

connection = pika.BlockingConnection(pika.URLParameters(os.environ.get('AMQP_URL', 'amqp://localhost')))
channel = connection.channel()

channel.queue_declare(queue='tasks', durable=True)

task = ' '.join(sys.argv[1:]) or 'Hello World!'
channel.basic_publish(
    exchange='',
    routing_key='tasks',
    body=task,
    properties=pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent),
)
print(f' [x] Sent {task}')

connection.close()
