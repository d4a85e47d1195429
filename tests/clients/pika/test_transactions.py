"""Transactions, with pika."""
import pika
from broker import unique
from support import BrokerTest


class Transactions(BrokerTest):
    def setUp(self):
        super().setUp()
        self.queue = self.own_queue()
        self.other = self.connection.channel()
        self.channel.tx_select()

    def ready(self, queue):
        return self.other.queue_declare(queue=queue, passive=True).method.message_count

    def test_commit_publishes(self):
        for body in ('one', 'two'):
            self.channel.basic_publish('', self.queue, body)
        self.channel.queue_declare(self.queue, passive=True)
        self.assertEqual(self.ready(self.queue), 0)
        self.channel.tx_commit()
        self.assertEqual(self.ready(self.queue), 2)

    def test_rollback_publishes_nothing(self):
        self.channel.basic_publish('', self.queue, 'never')
        self.channel.tx_rollback()
        self.channel.basic_publish('', self.queue, 'kept')
        self.channel.tx_commit()
        self.assertEqual([self.arrival(self.queue)[2], self.ready(self.queue)], [b'kept', 0])

    def test_an_ack_counts_from_the_commit_on(self):
        self.other.basic_publish('', self.queue, 'task')
        self.channel.basic_ack(self.next_delivery().delivery_tag)
        self.channel.tx_rollback()
        self.channel.close()
        self.channel = self.connection.channel()
        self.channel.tx_select()
        method = self.next_delivery()
        self.assertTrue(method.redelivered)
        self.channel.basic_ack(method.delivery_tag)
        self.channel.tx_commit()
        self.channel.close()
        self.assertEqual(self.ready(self.queue), 0)

    def next_delivery(self):
        """Waits for the next message, and leaves it unacked."""
        for method, _, _ in self.channel.consume(self.queue):
            return method

    def test_an_unroutable_message_is_returned_before_commit_ok(self):
        returned = []
        self.channel.add_on_return_callback(lambda *got: returned.append(got[3]))
        self.channel.basic_publish('amq.direct', unique('nobody'), 'come back', mandatory=True)
        self.channel.tx_commit()
        self.connection.process_data_events()
        self.assertEqual(returned, [b'come back'])

    def test_commit_without_a_transaction_is_406(self):
        with self.channel_closes(406, 'PRECONDITION_FAILED - channel is not transactional'):
            self.other.tx_commit()

    def test_confirms_and_transactions_do_not_mix(self):
        with self.channel_closes(406, 'PRECONDITION_FAILED - cannot switch from tx to confirm mode'):
            self.channel.confirm_delivery()
        channel = self.connection.channel()
        channel.confirm_delivery()
        with self.channel_closes(406, 'PRECONDITION_FAILED - cannot switch from confirm to tx mode'):
            channel.tx_select()
