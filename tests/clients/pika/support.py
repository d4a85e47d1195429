"""What every pika test starts from: a connection, a channel, and the reply codes it expects."""
import os
import unittest
import uuid
from contextlib import contextmanager

import pika
from pika.exceptions import ChannelClosedByBroker, ConnectionClosedByBroker

URL = os.environ.get('AMQP_URL', 'amqp://localhost')


def unique(label):
    """A name that no other test uses, also on a broker that outlives the run."""
    return f'{label}-{uuid.uuid4()}'


class BrokerTest(unittest.TestCase):
    def setUp(self):
        self.connection = self.connect()
        self.channel = self.connection.channel()

    def connect(self, **parameters):
        settings = pika.URLParameters(URL)
        for name, value in parameters.items():
            setattr(settings, name, value)
        connection = pika.BlockingConnection(settings)
        self.addCleanup(lambda: connection.is_open and connection.close())
        return connection

    def own_queue(self):
        """A queue that only this connection sees and that goes with it."""
        return self.channel.queue_declare(queue='', exclusive=True).method.queue

    def ready(self, queue):
        return self.channel.queue_declare(queue=queue, passive=True).method.message_count

    def fill(self, queue, *bodies):
        self.channel.confirm_delivery()
        for body in bodies:
            self.channel.basic_publish('', queue, body)

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
