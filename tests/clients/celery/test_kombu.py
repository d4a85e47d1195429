"""kombu, on which Celery is based, and py-amqp below it."""
import socket
import unittest

from amqp.exceptions import AccessRefused, ConnectionForced, MessageNacked, NotAllowed, NotFound, PreconditionFailed
from broker import CLOSED_BY_OPERATOR, SMALL_URL, URL, close_as_operator, managed, small, unique
from kombu import Connection, Consumer, Exchange, Producer, Queue
from kombu.exceptions import OperationalError
from kombu.pools import producers

SECONDS = 20


class Kombu(unittest.TestCase):
    def setUp(self):
        self.connection = self.connect()
        self.channel = self.connection.channel()
        self.producer = Producer(self.channel)

    def connect(self, url=URL, **options):
        connection = Connection(url, transport_options={'confirm_publish': True} | options)
        self.addCleanup(connection.release)
        return connection

    def own_queue(self, *binding, **options):
        """Declares an exclusive queue, which is deleted with its connection."""
        queue = Queue(unique('kombu'), *binding, exclusive=True, durable=False, channel=self.channel, **options)
        queue.auto_delete = False  # else it is deleted with its first consumer
        queue.declare()
        return queue

    def send(self, queue, *bodies, **options):
        for body in bodies:
            self.producer.publish(body, routing_key=queue.name, **options)

    def take(self, queue, count=1):
        """Waits for the next messages of a queue."""
        got = []
        consumer = Consumer(self.channel, [queue], callbacks=[lambda _, message: got.append(message)], auto_declare=False)
        consumer.qos(prefetch_count=1)
        with consumer:
            while len(got) < count:
                before = len(got)
                self.connection.drain_events(timeout=SECONDS)
                for message in got[before:]:
                    message.ack()
        return got

    def bodies(self, queue, count):
        return [message.payload for message in self.take(queue, count)]

    def test_payloads_of_any_kind_arrive(self):
        queue = self.own_queue()
        for payload, options in (({'a': [1, None]}, {}), ('text', {}), ({'z': 1}, {'compression': 'zlib'}), (b'\0\xff', {})):
            self.send(queue, payload, headers={'kind': 'test'}, **options)
            (message,) = self.take(queue)
            self.assertEqual(message.payload, payload)
            self.assertEqual(message.headers['kind'], 'test')

    def test_topics_and_headers_route(self):
        topic, headers = Exchange(unique('topic'), 'topic', auto_delete=True), Exchange('amq.headers', 'headers')
        queue = self.own_queue(topic, 'kern.*')
        key = unique('key')
        queue.bind_to('amq.headers', arguments={'x-match': 'all', key: 1})
        for routing_key in ('kern.info', 'kern', 'kern.a.b'):
            self.producer.publish(routing_key, exchange=topic, routing_key=routing_key)
        for value in (0, 1):
            self.producer.publish(value, exchange=headers, headers={key: value})
        self.assertEqual(self.bodies(queue, 2), ['kern.info', 1])
        self.assertIsNone(queue.get())

    def test_a_returned_message_reaches_the_callback(self):
        returned = []
        producer = Producer(self.channel, on_return=lambda error, *_: returned.append(error.reply_code))
        producer.publish('come back', routing_key=unique('nobody'), mandatory=True)
        self.assertEqual(returned, [312])

    def test_a_rejected_message_is_requeued_or_dead(self):
        graveyard = self.own_queue()
        letters = {'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': graveyard.name}
        queue = self.own_queue(queue_arguments=letters)
        self.send(queue, 'bad')
        queue.get().requeue()
        again = queue.get()
        self.assertTrue(again.delivery_info['redelivered'])
        again.reject()
        (message,) = self.take(graveyard)
        self.assertEqual((message.payload, message.headers['x-death'][0]['reason']), ('bad', 'rejected'))

    def test_expired_messages_are_dead_lettered(self):
        graveyard = self.own_queue()
        letters = {'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': graveyard.name}
        queue = self.own_queue(message_ttl=0.001, queue_arguments=letters)
        self.send(queue, 'by the queue')
        self.send(self.own_queue(queue_arguments=letters), 'by itself', expiration=0.001)
        self.assertEqual(sorted(self.bodies(graveyard, 2)), ['by itself', 'by the queue'])

    def test_higher_priorities_go_first(self):
        queue = self.own_queue(max_priority=10)
        for priority in (0, 10, 5):
            self.send(queue, priority, priority=priority)
        self.assertEqual(self.bodies(queue, 3), [10, 5, 0])

    def test_a_full_queue_that_rejects_nacks(self):
        queue = self.own_queue(max_length=1, queue_arguments={'x-overflow': 'reject-publish'})
        self.send(queue, 'one')
        with self.assertRaises(MessageNacked):
            self.send(queue, 'two')

    def test_a_simple_queue_and_a_limit(self):
        name = unique('simple')
        queue = self.connection.SimpleQueue(name, queue_opts={'auto_delete': True, 'max_length': 2})
        for body in ('one', 'two', 'three'):
            queue.put(body)
        self.assertEqual(queue.qsize(), 2)
        messages = [queue.get(timeout=SECONDS) for _ in range(2)]
        self.assertEqual([message.payload for message in messages], ['two', 'three'])
        for message in messages:
            message.ack()
        with self.assertRaises(queue.Empty):
            queue.get_nowait()
        queue.close()

    def test_a_transaction_commits_or_rolls_back(self):
        queue = self.own_queue()
        with Connection(URL) as connection, connection.channel() as channel:
            producer = Producer(channel)
            channel.tx_select()
            producer.publish('never', routing_key=queue.name)
            channel.tx_rollback()
            producer.publish('kept', routing_key=queue.name)
            channel.tx_commit()
        self.assertEqual(self.bodies(queue, 1), ['kept'])
        self.assertIsNone(queue.get())

    def test_a_missing_queue_is_404(self):
        with self.assertRaisesRegex(NotFound, "NOT_FOUND - no queue 'pmq-missing' in vhost '/'"):
            Queue('pmq-missing', channel=self.channel).queue_declare(passive=True)
        self.connection.channel().close()

    def test_a_queue_of_other_arguments_is_406(self):
        queue = Queue(unique('inequivalent'), exclusive=True, max_length=3, channel=self.channel)
        queue.declare()
        queue.max_length = 4
        with self.assertRaisesRegex(PreconditionFailed, "inequivalent arg 'x-max-length'"):
            queue.declare()

    def test_a_wrong_password_is_refused(self):
        with self.assertRaisesRegex(AccessRefused, 'ACCESS_REFUSED'):
            Connection(f'amqp://guest:wrong@{URL.split("@")[-1].removeprefix("amqp://")}').connect()

    def test_an_unknown_vhost_is_refused(self):
        with self.assertRaisesRegex(NotAllowed, 'vhost nowhere not found'):
            Connection(URL, virtual_host='nowhere').connect()

    def test_heartbeats_are_agreed_on_and_watched(self):
        connection = Connection(URL, heartbeat=2)
        self.addCleanup(connection.release)
        connection.connect()
        self.assertEqual(connection.get_heartbeat_interval(), 2)
        connection.heartbeat_check()
        with self.assertRaises(socket.timeout):
            connection.drain_events(timeout=0.001)

    def named(self):
        name = unique('connection')
        return name, self.connect(client_properties={'connection_name': name})

    @managed
    def test_the_operator_closes_a_connection(self):
        name, connection = self.named()
        connection.connect()
        close_as_operator(name)
        with self.assertRaisesRegex(ConnectionForced, CLOSED_BY_OPERATOR):
            connection.drain_events(timeout=SECONDS)

    @managed
    def test_a_publisher_reconnects_after_the_operator_closed_its_connection(self):
        name, connection = self.named()
        queue = self.own_queue()
        with producers[connection].acquire(block=True) as producer:
            producer.publish('before', routing_key=queue.name)
            close_as_operator(name)
            producer.publish('after', routing_key=queue.name, retry=True, retry_policy={'interval_start': 0})
        self.assertEqual(self.bodies(queue, 2), ['before', 'after'])

    def test_a_closed_port_is_an_operational_error(self):
        with socket.create_server(('127.0.0.1', 0)) as server:
            port = server.getsockname()[1]
        with self.assertRaises(OperationalError):
            Connection(port=port).ensure_connection(max_retries=1, interval_start=0)

    @small
    def test_a_publisher_is_notified_when_memory_runs_low(self):
        events = []
        publisher = Connection(SMALL_URL, transport_options={
            'on_blocked': lambda reason: events.append('blocked'), 'on_unblocked': lambda: events.append('unblocked')})
        self.addCleanup(publisher.release)
        with Connection(SMALL_URL) as consumer:
            queue = Queue(unique('flood'), channel=consumer.channel())
            queue.declare()
            producer = Producer(publisher.channel())
            while not events:
                producer.publish(bytes(10_000), routing_key=queue.name)
                self.drain(publisher)
            queue.delete()
            while len(events) < 2:
                publisher.drain_events(timeout=SECONDS)
        self.assertEqual(events, ['blocked', 'unblocked'])

    def drain(self, connection):
        """Handles events that have arrived."""
        try:
            connection.drain_events(timeout=0.001)
        except socket.timeout:
            pass
