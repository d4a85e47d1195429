#!/usr/bin/env python3
"""Prints the messages that match any of the patterns: receive.py "kern.*" "#.critical"

A pattern's words are separated by dots: * stands for one word, # for any number of words.
"""
import os
import sys

import pika

patterns = sys.argv[1:]
if not patterns:
    sys.exit('usage: receive.py PATTERN...')

connection = pika.BlockingConnection(pika.URLParameters(os.environ.get('AMQP_URL', 'amqp://localhost')))
channel = connection.channel()

channel.exchange_declare(exchange='topic_logs', exchange_type='topic')

queue = channel.queue_declare(queue='', exclusive=True).method.queue
for pattern in patterns:
    channel.queue_bind(exchange='topic_logs', queue=queue, routing_key=pattern)


def show(ch, method, properties, body):
    print(f' [x] {method.routing_key}: {body.decode()}')


channel.basic_consume(queue=queue, on_message_callback=show, auto_ack=True)

print(' [*] Waiting for logs. To exit press CTRL+C')
channel.start_consuming()
