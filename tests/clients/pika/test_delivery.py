"""Consuming, getting, settling and being cancelled, with pika."""
from pika import BasicProperties
from broker import unique
from support import BrokerTest


class Delivery(BrokerTest):
    def test_get_returns_the_oldest_message_or_nothing(self):
        queue = self.own_queue()
        self.assertEqual(self.channel.basic_get(queue), (None, None, None))
        self.fill(queue, 'one', 'two')
        method, _, body = self.channel.basic_get(queue)
        self.assertEqual((body, method.message_count, method.redelivered), (b'one', 1, False))

    def test_consume_as_a_generator_with_acks(self):
        queue = self.own_queue()
        self.fill(queue, 'one', 'two', 'three')
        bodies = []
        for method, _, body in self.channel.consume(queue):
            bodies.append(body)
            self.channel.basic_ack(method.delivery_tag)
            if len(bodies) == 3:
                break
        self.channel.cancel()
        self.assertEqual(bodies, [b'one', b'two', b'three'])
        self.assertEqual(self.ready(queue), 0)

    def test_a_cancelled_generator_requeues_its_messages(self):
        queue = self.own_queue()
        self.fill(queue, 'one', 'two', 'three')
        next(self.channel.consume(queue))
        self.channel.cancel()
        self.channel.basic_recover(requeue=True)
        self.assertEqual(self.ready(queue), 3)

    def test_prefetch_1_waits_for_the_ack(self):
        queue = self.own_queue()
        self.channel.basic_qos(prefetch_count=1)
        self.fill(queue, 'one', 'two')
        got = []
        self.channel.basic_consume(queue, lambda ch, method, properties, body: got.append((method.delivery_tag, body)))
        self.connection.process_data_events(time_limit=None)
        self.assertEqual(self.ready(queue), 1)
        self.assertEqual(got, [(1, b'one')])
        self.channel.basic_ack(1)
        while len(got) < 2:
            self.connection.process_data_events(time_limit=None)
        self.assertEqual(got[1], (2, b'two'))

    def test_nack_requeues_in_place_and_redelivers(self):
        queue = self.own_queue()
        self.fill(queue, 'one', 'two', 'three')
        tags = [self.channel.basic_get(queue)[0].delivery_tag for _ in range(2)]
        self.channel.basic_nack(tags[-1], multiple=True, requeue=True)
        got = [self.channel.basic_get(queue) for _ in range(3)]
        self.assertEqual([body for _, _, body in got], [b'one', b'two', b'three'])
        self.assertEqual([method.redelivered for method, _, _ in got], [True, True, False])

    def test_a_quorum_queue_works_as_the_tutorial_has_it(self):
        name = unique('task-queue')
        self.channel.queue_declare(queue=name, durable=True, arguments={'x-queue-type': 'quorum'})
        self.addCleanup(lambda: self.channel.queue_delete(name))
        self.channel.basic_qos(prefetch_count=1)
        self.fill(name, 'task')
        for method, _, body in self.channel.consume(name):
            self.assertEqual(body, b'task')
            self.channel.basic_ack(method.delivery_tag)
            self.channel.cancel()

    def test_reject_without_requeue_drops(self):
        queue = self.own_queue()
        self.fill(queue, 'one', 'two')
        self.channel.basic_reject(self.channel.basic_get(queue)[0].delivery_tag, requeue=False)
        self.assertEqual(self.channel.basic_get(queue)[2], b'two')

    def test_an_unknown_delivery_tag_is_406(self):
        with self.channel_closes(406, 'PRECONDITION_FAILED - unknown delivery tag 7'):
            self.channel.basic_ack(7)
            self.channel.queue_declare(queue='', exclusive=True)

    def test_consuming_a_missing_queue_is_404(self):
        with self.channel_closes(404, "NOT_FOUND - no queue 'pmq-missing'"):
            self.channel.basic_consume('pmq-missing', lambda *_: None)

    def test_beside_an_exclusive_consumer_is_403(self):
        queue = self.own_queue()
        self.channel.basic_consume(queue, lambda *_: None, exclusive=True)
        with self.channel_closes(403, 'in exclusive use'):
            self.connection.channel().basic_consume(queue, lambda *_: None)

    def test_a_deleted_queue_cancels_its_consumer(self):
        queue = self.own_queue()
        cancelled = []
        self.channel.add_on_cancel_callback(lambda frame: cancelled.append(frame.method.consumer_tag))
        tag = self.channel.basic_consume(queue, lambda *_: None)
        self.connection.channel().queue_delete(queue)
        while not cancelled:
            self.connection.process_data_events(time_limit=None)
        self.assertEqual(cancelled, [tag])

    def test_start_consuming_ends_when_the_queue_is_gone(self):
        queue = self.own_queue()
        other = self.connection.channel()

        def delete(channel, method, properties, body):
            other.queue_delete(queue)

        self.channel.basic_consume(queue, delete, auto_ack=True)
        self.fill(queue, 'last')
        self.channel.start_consuming()

    def test_an_auto_delete_queue_is_deleted_with_its_consumer(self):
        name = unique('auto-delete')
        self.channel.queue_declare(queue=name, auto_delete=True)
        tag = self.channel.basic_consume(name, lambda *_: None)
        self.channel.basic_cancel(tag)
        with self.channel_closes(404, 'NOT_FOUND'):
            self.ready(name)

    def test_a_closed_channel_gives_back_its_messages(self):
        queue = self.own_queue()
        self.fill(queue, 'one')
        other = self.connection.channel()
        other.basic_get(queue)
        other.close()
        method, _, body = self.channel.basic_get(queue)
        self.assertEqual((body, method.redelivered), (b'one', True))

    def test_direct_reply_to(self):
        server_queue = self.own_queue()
        answers = []

        def answer(channel, method, properties, body):
            channel.basic_publish('', properties.reply_to, body.upper())

        self.channel.basic_consume(server_queue, answer, auto_ack=True)
        self.channel.basic_consume('amq.rabbitmq.reply-to', lambda *got: answers.append(got[3]), auto_ack=True)
        self.channel.basic_publish('', server_queue, 'question', BasicProperties(reply_to='amq.rabbitmq.reply-to'))
        while not answers:
            self.connection.process_data_events(time_limit=None)
        self.assertEqual(answers, [b'QUESTION'])

    def test_direct_reply_to_without_a_consumer_is_406(self):
        with self.channel_closes(406, 'PRECONDITION_FAILED - fast reply consumer does not exist'):
            self.channel.basic_publish('', 'anywhere', 'x', BasicProperties(reply_to='amq.rabbitmq.reply-to'))
            self.channel.queue_declare(queue='', exclusive=True)
