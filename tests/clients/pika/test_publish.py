"""Publishing, confirms, returns, bodies and properties, with pika."""
from datetime import datetime, timezone
from decimal import Decimal

from pika import BasicProperties
from pika.exceptions import UnroutableError
from broker import unique
from support import BrokerTest


class Publish(BrokerTest):
    def test_confirm_delivery_confirms(self):
        queue = self.own_queue()
        self.channel.confirm_delivery()
        for i in range(100):
            self.channel.basic_publish('', queue, str(i))
        self.assertEqual(self.ready(queue), 100)

    def test_mandatory_with_confirms_raises_unroutable(self):
        self.channel.confirm_delivery()
        key = unique('nobody')
        with self.assertRaises(UnroutableError) as refused:
            self.channel.basic_publish('amq.direct', key, 'come back', mandatory=True)
        (returned,) = refused.exception.messages
        self.assertEqual(returned.method.reply_code, 312)
        self.assertEqual(returned.method.reply_text, 'NO_ROUTE')
        self.assertEqual((returned.method.exchange, returned.method.routing_key), ('amq.direct', key))
        self.assertEqual(returned.body, b'come back')

    def test_without_mandatory_the_unroutable_is_confirmed(self):
        self.channel.confirm_delivery()
        self.channel.basic_publish('amq.direct', unique('nobody'), 'dropped')

    def test_a_missing_exchange_is_404(self):
        self.channel.confirm_delivery()
        with self.channel_closes(404, "NOT_FOUND - no exchange 'pmq-missing' in vhost '/'"):
            self.channel.basic_publish('pmq-missing', 'key', 'x')

    def test_bodies_of_all_sizes(self):
        queue = self.own_queue()
        for size in (0, 1, 131_064, 131_065, 131_072, 1_000_000, 5_000_000):
            with self.subTest(size=size):
                body = bytes(i * 31 & 0xff for i in range(256)) * (size // 256 + 1)
                self.fill(queue, body[:size])
                self.assertEqual(self.channel.basic_get(queue, auto_ack=True)[2], body[:size])

    def test_properties_arrive(self):
        sent = BasicProperties(
            content_type='application/json',
            content_encoding='gzip',
            delivery_mode=2,
            priority=9,
            correlation_id='c1',
            reply_to='someone',
            message_id='m1',
            timestamp=1_700_000_000,
            type='greeting',
            user_id='guest',
            app_id='app',
            cluster_id='cluster',
            headers={'key': 'value'},
        )
        self.assertEqual(self.round_trip(sent), sent)

    def test_headers_of_every_type_arrive(self):
        headers = {
            'text': 'päivää 日本',
            'bytes': b'\x00\x01\xff',
            'truth': True,
            'lie': False,
            'integer': 123,
            'negative': -123,
            'large': 2**40,
            'decimal': Decimal('19.99'),
            'when': datetime(2024, 2, 29, 12, tzinfo=timezone.utc),
            'nothing': None,
            'list': [1, 'two', [None]],
            'table': {'nested': {'deeper': [True]}},
        }
        self.assertEqual(self.round_trip(BasicProperties(headers=headers)).headers, headers)

    def round_trip(self, properties):
        queue = self.own_queue()
        self.channel.basic_publish('', queue, 'x', properties)
        for _, arrived, _ in self.channel.consume(queue, auto_ack=True):
            self.channel.cancel()
            return arrived
