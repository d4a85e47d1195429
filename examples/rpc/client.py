#!/usr/bin/env python3
"""Requests a Fibonacci number and waits for the reply in a queue of its own: client.py 30"""
import os
import sys
import uuid

import pika


class FibonacciClient:
    def __init__(self, url):
        self.connection = pika.BlockingConnection(pika.URLParameters(url))
        self.channel = self.connection.channel()
        self.reply_queue = self.channel.queue_declare(queue='', exclusive=True).method.queue
        self.channel.basic_consume(queue=self.reply_queue, on_message_callback=self.on_answer, auto_ack=True)
        self.correlation_id = None
        self.answer = None

    def on_answer(self, ch, method, properties, body):
        # A reply to an earlier request that timed out is ignored.
        if properties.correlation_id == self.correlation_id:
            self.answer = int(body)

    def call(self, n):
        self.answer = None
        self.correlation_id = str(uuid.uuid4())
        self.channel.basic_publish(
            exchange='',
            routing_key='rpc_queue',
            properties=pika.BasicProperties(reply_to=self.reply_queue, correlation_id=self.correlation_id),
            body=str(n),
        )
        while self.answer is None:
            self.connection.process_data_events(time_limit=None)
        return self.answer


n = int(sys.argv[1]) if len(sys.argv) > 1 else 30
client = FibonacciClient(os.environ.get('AMQP_URL', 'amqp://localhost'))
print(f' [x] Requesting fib({n})')
print(f' [.] Got {client.call(n)}')
client.connection.close()
