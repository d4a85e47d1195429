#!/usr/bin/env python3
"""Sends a line to every subscriber: emit.py Hello"""
import os
import sys

import pika

connection = pika.BlockingConnection(pika.URLParameters(os.environ.get('AMQP_URL', 'amqp://localhost')))
channel = connection.channel()

channel.exchange_declare(exchange='logs', exchange_type='fanout')

line = ' '.join(sys.argv[1:]) or 'Hello World!'
# A fanout exchange ignores the routing key. Without subscribers the line is dropped.
channel.basic_publish(exchange='logs', routing_key='', body=line)
print(f' [x] Sent {line}')

connection.close()
