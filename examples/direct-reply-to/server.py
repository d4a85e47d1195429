#!/usr/bin/env python3
"""Replies to requests in capital letters. It need not know how the client receives its reply."""
import os

import pika

connection = pika.BlockingConnection(pika.URLParameters(os.environ.get('AMQP_URL', 'amqp://localhost')))
channel = connection.channel()

channel.queue_declare(queue='capitals')


def answer(ch, method, properties, body):
    print(f' [.] {body.decode()}')
    ch.basic_publish(exchange='', routing_key=properties.reply_to, body=body.upper())


channel.basic_consume(queue='capitals', on_message_callback=answer, auto_ack=True)

print(' [x] Awaiting requests')
channel.start_consuming()
