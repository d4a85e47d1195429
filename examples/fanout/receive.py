#!/usr/bin/env python3
"""Prints every line of the log from now on."""
import os

import pika

connection = pika.BlockingConnection(pika.URLParameters(os.environ.get('AMQP_URL', 'amqp://localhost')))
channel = connection.channel()

channel.exchange_declare(exchange='logs', exchange_type='fanout')

# A queue of our own: the server generates its name, and deletes it with this connection.
queue = channel.queue_declare(queue='', exclusive=True).method.queue
channel.queue_bind(exchange='logs', queue=queue)


def show(ch, method, properties, body):
    print(f' [x] {body.decode()}')


channel.basic_consume(queue=queue, on_message_callback=show, auto_ack=True)

print(' [*] Waiting for logs. To exit press CTRL+C')
channel.start_consuming()
