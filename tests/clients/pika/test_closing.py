"""Connections that the broker closes or blocks, with pika."""
from contextlib import contextmanager

import pika
from broker import CLOSED_BY_OPERATOR, SMALL_URL, close_as_operator, managed, small, unique
from support import BrokerTest


class Closing(BrokerTest):
    def named(self, **parameters):
        name = unique('connection')
        return name, self.connect(client_properties={'connection_name': name}, **parameters)

    def close(self, name, connection):
        with self.connection_closes(320, CLOSED_BY_OPERATOR):
            close_as_operator(name)
            while True:
                connection.process_data_events(time_limit=None)

    @managed
    def test_the_operator_closes_a_connection(self):
        name, connection = self.named()
        queue = self.own_queue()
        self.close(name, connection)
        self.assertEqual(self.ready(queue), 0)

    @managed
    def test_a_program_consumes_again_after_the_operator_closed_its_connection(self):
        queue = unique('recovered')
        self.channel.queue_declare(queue)
        self.addCleanup(lambda: self.channel.queue_delete(queue))
        self.fill(queue, 'task')
        name, connection = self.named()
        channel = connection.channel()
        channel.basic_get(queue)
        self.close(name, connection)
        method, _, body = self.arrival(queue)
        self.assertEqual((body, method.redelivered), (b'task', True))

    @small
    def test_a_publisher_is_blocked_while_memory_is_short(self):
        publisher = self.connect(SMALL_URL)
        events = []
        publisher.add_on_connection_blocked_callback(lambda _, frame: events.append(frame.method.reason))
        publisher.add_on_connection_unblocked_callback(lambda *_: events.append('unblocked'))
        with self.flood_queue() as queue:
            self.flood(publisher, queue, lambda: events)
            self.assertEqual(events, ['low on memory'])
        while len(events) < 2:
            publisher.process_data_events(time_limit=None)
        self.assertEqual(events[1], 'unblocked')

    @small
    def test_a_blocked_connection_may_time_out(self):
        publisher = self.connect(SMALL_URL, blocked_connection_timeout=0.01)
        with self.flood_queue() as queue, self.assertRaises(pika.exceptions.ConnectionBlockedTimeout):
            self.flood(publisher, queue, lambda: False)

    @contextmanager
    def flood_queue(self):
        """Declares a queue in the small broker, and deletes it afterwards, which frees memory."""
        channel = self.connect(SMALL_URL).channel()
        queue = channel.queue_declare(unique('flood')).method.queue
        yield queue
        channel.queue_delete(queue)

    def flood(self, publisher, queue, is_enough):
        channel = publisher.channel()
        while not is_enough():
            channel.basic_publish('', queue, bytes(10_000))
            publisher.process_data_events()
