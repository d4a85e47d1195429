"""Expiry, length limits, rejections and priorities, with pika."""
from broker import unique
from pika import BasicProperties
from pika.exceptions import NackError
from support import BrokerTest


class Limits(BrokerTest):
    def dead_letter_queue(self):
        """Declares a queue for dead letters; returns it and the arguments to dead-letter to it."""
        graveyard = self.own_queue()
        return graveyard, {'dead_letter_exchange': '', 'dead_letter_routing_key': graveyard}

    def test_a_message_expires_and_says_so_where_it_is_buried(self):
        graveyard, arguments = self.dead_letter_queue()
        queue = self.own_queue(**arguments)
        self.channel.basic_publish('', queue, 'late', BasicProperties(expiration='1', headers={'kept': True}))
        method, properties, body = self.arrival(graveyard)
        self.assertEqual((body, method.routing_key), (b'late', graveyard))
        self.assertIsNone(properties.expiration)
        self.assertEqual(properties.headers['kept'], True)
        self.assertEqual(properties.headers['x-first-death-reason'], 'expired')
        self.assertEqual(properties.headers['x-first-death-queue'], queue)
        (death,) = properties.headers['x-death']
        expected = {'count': 1, 'reason': 'expired', 'queue': queue, 'exchange': '', 'original-expiration': '1'}
        self.assertEqual({key: death[key] for key in expected}, expected)
        self.assertEqual(death['routing-keys'], [queue])

    def test_a_queue_expires_its_messages(self):
        graveyard, arguments = self.dead_letter_queue()
        queue = self.own_queue(message_ttl=1, **arguments)
        self.fill(queue, 'one', 'two')
        self.assertEqual(self.bodies(graveyard, 2), [b'one', b'two'])
        self.assertEqual(self.ready(queue), 0)

    def test_a_rejected_message_is_dead(self):
        graveyard, arguments = self.dead_letter_queue()
        queue = self.own_queue(**arguments)
        self.fill(queue, 'bad')
        self.channel.basic_reject(self.channel.basic_get(queue)[0].delivery_tag, requeue=False)
        self.assertEqual(self.arrival(graveyard)[1].headers['x-death'][0]['reason'], 'rejected')

    def test_a_full_queue_drops_its_oldest(self):
        graveyard, arguments = self.dead_letter_queue()
        queue = self.own_queue(max_length=2, **arguments)
        self.fill(queue, 'one', 'two', 'three')
        self.assertEqual(self.ready(queue), 2)
        method, properties, body = self.arrival(graveyard)
        self.assertEqual((body, properties.headers['x-death'][0]['reason']), (b'one', 'maxlen'))

    def test_a_full_queue_that_rejects_nacks(self):
        queue = self.own_queue(max_length=1, overflow='reject-publish')
        self.fill(queue, 'one')
        with self.assertRaises(NackError):
            self.channel.basic_publish('', queue, 'two')
        self.assertEqual(self.bodies(queue, 1), [b'one'])

    def test_higher_priorities_go_first(self):
        queue = self.own_queue(max_priority=5)
        self.channel.confirm_delivery()
        for priority in (None, 1, 5, 3, 9, 1):
            self.channel.basic_publish('', queue, f'{priority}', BasicProperties(priority=priority))
        self.assertEqual(self.bodies(queue, 6), [b'5', b'9', b'3', b'1', b'1', b'None'])

    def test_an_expired_queue_is_gone(self):
        queue = self.own_queue(expires=1)
        with self.channel_closes(404, f"NOT_FOUND - no queue '{queue}' in vhost '/'"):
            while True:
                self.ready(queue)

    def test_a_bad_argument_is_406(self):
        with self.channel_closes(406, "PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue"):
            self.own_queue(message_ttl=-1)

    def test_a_bad_expiration_is_406(self):
        queue = self.own_queue()
        with self.channel_closes(406, "PRECONDITION_FAILED - invalid expiration 'soon'"):
            self.channel.basic_publish('', queue, 'x', BasicProperties(expiration='soon'))
            self.channel.queue_declare(queue=queue, passive=True)

    def test_redeclare_with_another_ttl_is_406(self):
        name = unique('inequivalent')
        self.channel.queue_declare(name, exclusive=True, arguments={'x-message-ttl': 1000})
        with self.channel_closes(406, f"PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue '{name}'"):
            self.channel.queue_declare(name, exclusive=True, arguments={'x-message-ttl': 2000})

    def test_one_active_consumer_and_the_next_takes_over(self):
        queue = self.own_queue(single_active_consumer=True)
        got = []
        channels = [self.connection.channel() for _ in range(2)]
        for number, channel in enumerate(channels):
            channel.basic_consume(queue, lambda *got_, number=number: got.append((number, got_[3])), auto_ack=True)
        self.fill(queue, 'one')
        self.wait_for(lambda: len(got) == 1)
        channels[0].close()
        self.fill(queue, 'two')
        self.wait_for(lambda: len(got) == 2)
        self.assertEqual(got, [(0, b'one'), (1, b'two')])

    def wait_for(self, is_so):
        while not is_so():
            self.connection.process_data_events(time_limit=None)
