#!/usr/bin/env python3
"""Publishes under a topic: emit.py kern.critical The disk is full"""
import os
import sys

import pika

connection = pika.BlockingConnection(pika.URLParameters(os.environ.get('AMQP_URL', 'amqp://localhost')))
channel = connection.channel()

channel.exchange_declare(exchange='topic_logs', exchange_type='topic')

topic = sys.argv[1] if len(sys.argv) > 1 else 'anonymous.info'
line = ' '.join(sys.argv[2:]) or 'Hello World!'
channel.basic_publish(exchange='topic_logs', routing_key=topic, body=line)
print(f' [x] Sent {topic}: {line}')

connection.close()
