#!/usr/bin/env python3
"""Works on one task at a time; every dot in a task is a tenth of a second of work."""
import os
import time

import pika

connection = pika.BlockingConnection(pika.URLParameters(os.environ.get('AMQP_URL', 'amqp://localhost')))
channel = connection.channel()

channel.queue_declare(queue='tasks', durable=True)


def work(ch, method, properties, body):
    print(f' [x] Received {body.decode()}')
    time.sleep(body.count(b'.') / 10)
    print(' [x] Done')
    # Acked only now: if this worker dies before, the task goes to another one.
    ch.basic_ack(delivery_tag=method.delivery_tag)


# With a prefetch of 1 a busy worker gets no second task while another is idle.
channel.basic_qos(prefetch_count=1)
channel.basic_consume(queue='tasks', on_message_callback=work)

print(' [*] Waiting for tasks. To exit press CTRL+C')
channel.start_consuming()
