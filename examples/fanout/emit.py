#!/usr/bin/env python3
"""Says something to everyone who listens: emit.py Hello"""
import os
import sys

import pika

connection = pika.BlockingConnection(pika.URLParameters(os.environ.get('AMQP_URL', 'amqp://localhost')))
channel = connection.channel()

channel.exchange_declare(exchange='logs', exchange_type='fanout')

line = ' '.join(sys.argv[1:]) or 'Hello World!'
# A fanout exchange ignores the routing key. With nobody listening the line is dropped.
channel.basic_publish(exchange='logs', routing_key='', body=line)
print(f' [x] Sent {line}')

connection.close()
