"""Logins, tuning, and errors of the whole connection, with pika."""
import asyncio

import pika
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.exceptions import ProbableAccessDeniedError, ProbableAuthenticationError
from broker import URL
from support import BrokerTest


class Connection(BrokerTest):
    def test_the_capabilities_that_pika_asks_for_are_there(self):
        self.assertTrue(self.connection.publisher_confirms_supported)
        self.assertTrue(self.connection.basic_nack_supported)
        self.assertTrue(self.connection.consumer_cancel_notify_supported)
        self.assertTrue(self.connection.exchange_exchange_bindings_supported)

    def test_a_wrong_password_is_refused(self):
        with self.assertRaises(ProbableAuthenticationError) as refused:
            self.connect(credentials=pika.PlainCredentials('guest', 'wrong'))
        self.assertIn('403', str(refused.exception))

    def test_an_unknown_vhost_is_refused(self):
        with self.assertRaises(ProbableAccessDeniedError) as refused:
            self.connect(virtual_host='nowhere')
        self.assertIn('530', str(refused.exception))

    def test_a_heartbeat_is_agreed_on(self):
        self.assertEqual(self.connect(heartbeat=7)._impl.params.heartbeat, 7)
        self.assertEqual(self.connect(heartbeat=0)._impl.params.heartbeat, 0)

    def test_many_channels_are_numbered_in_turn(self):
        channels = [self.connection.channel() for _ in range(50)]
        self.assertEqual([channel.channel_number for channel in channels], list(range(2, 52)))

    def test_a_duplicate_consumer_tag_is_530(self):
        queue = self.own_queue()
        self.raw_consume(queue, 'twice')
        with self.connection_closes(530, "NOT_ALLOWED - attempt to reuse consumer tag 'twice'"):
            self.raw_consume(queue, 'twice')
            self.connection.process_data_events(time_limit=5)
            self.channel.queue_declare(queue='', exclusive=True)

    def raw_consume(self, queue, tag):
        """Bypasses pika's own check for a tag that is used twice."""
        self.channel._impl._send_method(pika.spec.Basic.Consume(queue=queue, consumer_tag=tag))

    def test_prefetch_size_is_540(self):
        with self.connection_closes(540, 'NOT_IMPLEMENTED - prefetch_size!=0'):
            self.channel.basic_qos(prefetch_size=1000)

    def test_recover_without_requeue_is_540(self):
        with self.connection_closes(540, 'NOT_IMPLEMENTED'):
            self.channel.basic_recover(requeue=False)

    def test_stopping_the_flow_is_540(self):
        with self.connection_closes(540, 'NOT_IMPLEMENTED - active=false'):
            self.channel.flow(False)

    def test_immediate_is_540(self):
        publish = pika.spec.Basic.Publish(exchange='', routing_key='anywhere', immediate=True)
        with self.connection_closes(540, 'NOT_IMPLEMENTED - immediate=true'):
            self.channel._impl._send_method(publish, (pika.BasicProperties(), b'x'))
            self.connection.process_data_events(time_limit=5)
            self.channel.queue_declare(queue='', exclusive=True)

    def test_update_secret_is_ok(self):
        self.connection.update_secret('guest', 'rotated')
        self.connection.channel()

    def test_the_asyncio_adapter_works(self):
        async def hello():
            opened = asyncio.get_running_loop().create_future()
            received = asyncio.get_running_loop().create_future()

            def consume(declared):
                channel.basic_consume(declared.method.queue, lambda *got: received.set_result(got[3]), auto_ack=True)
                channel.basic_publish('', declared.method.queue, 'asynchronous')

            AsyncioConnection(pika.URLParameters(URL), on_open_callback=opened.set_result)
            connection = await opened
            channel = connection.channel(on_open_callback=lambda ch: ch.queue_declare('', exclusive=True, callback=consume))
            body = await received
            connection.close()
            return body

        self.assertEqual(asyncio.run(asyncio.wait_for(hello(), timeout=10)), b'asynchronous')
