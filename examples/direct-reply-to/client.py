#!/usr/bin/env python3
"""Sends a request and gets the reply straight to this channel, without a reply queue: client.py hello"""
import os
import sys

import pika

connection = pika.BlockingConnection(pika.URLParameters(os.environ.get('AMQP_URL', 'amqp://localhost')))
channel = connection.channel()

request = ' '.join(sys.argv[1:]) or 'hello'


def on_answer(ch, method, properties, body):
    print(f' [.] Got {body.decode()}')
    ch.stop_consuming()


# This pseudo-queue is consumed before the request leaves, on the same channel, and without acks.
channel.basic_consume(queue='amq.rabbitmq.reply-to', on_message_callback=on_answer, auto_ack=True)
channel.basic_publish(
    exchange='',
    routing_key='capitals',
    properties=pika.BasicProperties(reply_to='amq.rabbitmq.reply-to'),
    body=request,
)
print(f' [x] Requesting {request}')

channel.start_consuming()
connection.close()
