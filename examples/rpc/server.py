#!/usr/bin/env python3
"""Replies to requests for Fibonacci numbers."""
import os

import pika

connection = pika.BlockingConnection(pika.URLParameters(os.environ.get('AMQP_URL', 'amqp://localhost')))
channel = connection.channel()

channel.queue_declare(queue='rpc_queue')


def fibonacci(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


def answer(ch, method, properties, body):
    n = int(body)
    print(f' [.] fib({n})')
    # The request has the reply's queue, and an id by which the client matches it.
    ch.basic_publish(
        exchange='',
        routing_key=properties.reply_to,
        properties=pika.BasicProperties(correlation_id=properties.correlation_id),
        body=str(fibonacci(n)),
    )
    ch.basic_ack(delivery_tag=method.delivery_tag)


channel.basic_qos(prefetch_count=1)
channel.basic_consume(queue='rpc_queue', on_message_callback=answer)

print(' [x] Awaiting RPC requests')
channel.start_consuming()
