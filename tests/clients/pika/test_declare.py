"""Declaring, binding, deleting, and their errors, with pika."""
from pika import BasicProperties
from broker import unique
from support import BrokerTest


class Declare(BrokerTest):
    def test_a_queue_is_declared_and_found_again(self):
        name = unique('declared')
        declared = self.channel.queue_declare(queue=name, exclusive=True)
        self.assertEqual(declared.method.queue, name)
        self.assertEqual((declared.method.message_count, declared.method.consumer_count), (0, 0))
        self.assertEqual(self.ready(name), 0)

    def test_a_server_named_queue_has_a_name(self):
        self.assertRegex(self.own_queue(), r'^amq\.gen-')

    def test_passive_declare_of_a_missing_queue_is_404(self):
        with self.channel_closes(404, "NOT_FOUND - no queue 'pmq-missing' in vhost '/'"):
            self.ready('pmq-missing')

    def test_redeclare_with_other_arguments_is_406(self):
        name = unique('inequivalent')
        self.channel.queue_declare(queue=name, auto_delete=True)
        with self.channel_closes(406, f"PRECONDITION_FAILED - inequivalent arg 'durable' for queue '{name}'"):
            self.channel.queue_declare(queue=name, auto_delete=True, durable=True)
        self.connection.channel().queue_delete(name)

    def test_an_exclusive_queue_is_405_for_another_connection(self):
        queue = self.own_queue()
        with self.channel_closes(405, 'RESOURCE_LOCKED - cannot obtain exclusive access to locked queue'):
            self.connect().channel().queue_declare(queue=queue, passive=True)

    def test_a_reserved_name_is_403(self):
        with self.channel_closes(403, "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'"):
            self.channel.queue_declare(queue='amq.mine')

    def test_binding_the_default_exchange_is_403(self):
        queue = self.own_queue()
        with self.channel_closes(403, 'ACCESS_REFUSED - operation not permitted on the default exchange'):
            self.channel.queue_bind(queue, '', 'key')

    def test_an_exchange_of_another_type_is_406(self):
        with self.channel_closes(406, "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'amq.direct'"):
            self.channel.exchange_declare('amq.direct', exchange_type='fanout', durable=True)

    def test_a_channel_error_leaves_the_connection_usable(self):
        with self.channel_closes(404, 'NOT_FOUND'):
            self.channel.exchange_declare('pmq-missing', passive=True)
        self.assertTrue(self.connection.is_open)
        channel = self.connection.channel()
        self.assertEqual(channel.channel_number, 1)
        channel.queue_declare(queue='', exclusive=True)

    def test_exchanges_bind_to_exchanges(self):
        source, destination = unique('source'), unique('destination')
        for name in (source, destination):
            self.channel.exchange_declare(name, exchange_type='fanout', auto_delete=True)
        self.channel.exchange_bind(destination, source)
        queue = self.own_queue()
        self.channel.queue_bind(queue, destination)
        self.channel.confirm_delivery()
        self.channel.basic_publish(source, '', 'through')
        self.assertEqual(self.channel.basic_get(queue)[2], b'through')
        self.channel.exchange_unbind(destination, source)

    def test_headers_exchanges_match_arguments(self):
        queue = self.own_queue()
        key = unique('key')
        self.channel.queue_bind(queue, 'amq.headers', '', {'x-match': 'all', 'key': key, 'pages': 3})
        self.channel.confirm_delivery()
        for headers, body in (({'key': key, 'pages': 3}, 'both'), ({'key': key}, 'one'), ({}, 'none')):
            self.channel.basic_publish('amq.headers', '', body, BasicProperties(headers=headers))
        self.assertEqual(self.channel.basic_get(queue, auto_ack=True)[2], b'both')
        self.assertEqual(self.channel.basic_get(queue), (None, None, None))

    def test_purge_and_delete_return_the_number_of_messages(self):
        queue = self.own_queue()
        self.fill(queue, 'one', 'two')
        self.assertEqual(self.channel.queue_purge(queue).method.message_count, 2)
        self.fill(queue, 'three')
        self.assertEqual(self.channel.queue_delete(queue).method.message_count, 1)
        self.assertEqual(self.channel.queue_delete(queue).method.message_count, 0)
