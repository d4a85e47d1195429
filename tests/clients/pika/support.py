"""The base of every test with pika's blocking connection, and the reply codes that it expects."""
import unittest
from contextlib import contextmanager

import pika
from broker import URL
from pika.exceptions import ChannelClosedByBroker, ConnectionClosedByBroker


class BrokerTest(unittest.TestCase):
    def setUp(self):
        self.connection = self.connect()
        self.channel = self.connection.channel()

    def connect(self, url=URL, **parameters):
        settings = pika.URLParameters(url)
        for name, value in parameters.items():
            setattr(settings, name, value)
        connection = pika.BlockingConnection(settings)
        self.addCleanup(lambda: connection.is_open and connection.close())
        return connection

    def own_queue(self, **arguments):
        """Declares an exclusive queue, which is deleted with its connection; `max_length=1` is x-max-length."""
        named = {f'x-{name.replace("_", "-")}': value for name, value in arguments.items()}
        return self.channel.queue_declare(queue='', exclusive=True, arguments=named).method.queue

    def ready(self, queue):
        return self.channel.queue_declare(queue=queue, passive=True).method.message_count

    def fill(self, queue, *bodies):
        self.channel.confirm_delivery()
        for body in bodies:
            self.channel.basic_publish('', queue, body)

    def arrivals(self, queue, count):
        """Waits for the next messages of a queue; returns method, properties and body of each."""
        got = []
        for method, properties, body in self.channel.consume(queue):
            self.channel.basic_ack(method.delivery_tag)
            got.append((method, properties, body))
            if len(got) == count:
                break
        self.channel.cancel()
        return got

    def arrival(self, queue):
        return self.arrivals(queue, 1)[0]

    def bodies(self, queue, count):
        return [body for _, _, body in self.arrivals(queue, count)]

    @contextmanager
    def channel_closes(self, code, text):
        with self.assertRaises(ChannelClosedByBroker) as closing:
            yield
        self.assertEqual(closing.exception.reply_code, code)
        self.assertIn(text, closing.exception.reply_text)

    @contextmanager
    def connection_closes(self, code, text):
        with self.assertRaises(ConnectionClosedByBroker) as closing:
            yield
        self.assertEqual(closing.exception.reply_code, code)
        self.assertIn(text, closing.exception.reply_text)
