"""pika's SelectConnection: everything is a callback. A scenario yields functions with a callback, and gets the results."""
import unittest

import pika
from broker import CLOSED_BY_OPERATOR, URL, close_as_operator, managed, unique
from pika.exceptions import (
    ChannelClosedByBroker,
    ConnectionClosedByBroker,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
)


class Player:
    """Plays a scenario on a connection of its own, and closes it at the end."""

    def __init__(self, scenario, **parameters):
        settings = pika.URLParameters(URL)
        for name, value in parameters.items():
            setattr(settings, name, value)
        self.make_scenario = scenario
        self.failure = None
        self.connection = pika.SelectConnection(
            settings, on_open_callback=self.begin, on_open_error_callback=self.end, on_close_callback=self.end)

    def play(self):
        """Returns the error with which the connection ended."""
        self.connection.ioloop.start()
        if self.failure:
            raise self.failure
        return self.ending

    def begin(self, connection):
        self.scenario = self.make_scenario(connection)
        self.go_on()

    def go_on(self, *got):
        try:
            action = self.scenario.send(got[0] if len(got) == 1 else got or None)
            action(self.go_on)
        except StopIteration:
            self.connection.close()
        except Exception as failure:
            self.failure = failure
            self.connection.ioloop.stop()

    def end(self, connection, ending):
        self.ending = ending
        connection.ioloop.stop()


def open_channel(connection):
    return lambda done: connection.channel(on_open_callback=done)


def declare(channel, name='', **options):
    return lambda done: channel.queue_declare(name, exclusive=True, callback=done, **options)


class Callbacks(unittest.TestCase):
    def play(self, scenario, **parameters):
        return Player(scenario, **parameters).play()

    def test_messages_are_confirmed_and_consumed_two_at_a_time(self):
        got, confirmed = [], []

        def scenario(connection):
            channel = yield open_channel(connection)
            queue = (yield declare(channel)).method.queue
            yield lambda done: channel.basic_qos(prefetch_count=2, callback=done)

            def keep_confirmed(frame):
                confirmed.append(frame.method)
                if frame.method.delivery_tag == 6:
                    self.go_on()

            yield lambda done: channel.confirm_delivery(keep_confirmed, callback=done)
            for body in 'abcdef':
                channel.basic_publish('', queue, body)
            yield self.resume_by('go_on')

            def consume(done):
                def take(channel, method, properties, body):
                    got.append((body, method.delivery_tag))
                    if len(got) % 2 == 0:
                        channel.basic_ack(method.delivery_tag, multiple=True)
                    if len(got) == 6:
                        done()

                channel.basic_consume(queue, take)

            yield consume
            emptied = yield declare(channel, queue, passive=True)
            self.assertEqual(emptied.method.message_count, 0)

        ending = self.play(scenario)
        self.assertIsInstance(ending, pika.exceptions.ConnectionClosedByClient)
        self.assertEqual(got, [(body.encode(), tag) for tag, body in enumerate('abcdef', 1)])
        self.assertTrue(all(isinstance(method, pika.spec.Basic.Ack) for method in confirmed))

    def resume_by(self, name):
        """A step that ends when `self.<name>()` is called."""
        return lambda done: setattr(self, name, done)

    def test_a_message_is_returned_before_its_confirm(self):
        events = []

        def scenario(connection):
            channel = yield open_channel(connection)
            channel.add_on_return_callback(lambda _, method, properties, body: events.append((method.reply_code, body)))

            def publish(done):
                channel.confirm_delivery(lambda frame: (events.append('confirmed'), done()), callback=lambda _: channel.basic_publish(
                    'amq.topic', unique('nobody'), 'come back', mandatory=True))

            yield publish

        self.play(scenario)
        self.assertEqual(events, [(312, b'come back'), 'confirmed'])

    def test_a_full_queue_that_rejects_nacks(self):
        answers = []

        def scenario(connection):
            channel = yield open_channel(connection)
            queue = (yield declare(channel, arguments={'x-max-length': 1, 'x-overflow': 'reject-publish'})).method.queue

            def publish(done):
                def answer(frame):
                    answers.append(type(frame.method).__name__)
                    if len(answers) == 2:
                        done()
                    else:
                        channel.basic_publish('', queue, 'refused')

                channel.confirm_delivery(answer, callback=lambda _: channel.basic_publish('', queue, 'taken'))

            yield publish

        self.play(scenario)
        self.assertEqual(answers, ['Ack', 'Nack'])

    def test_a_closed_channel_has_a_reason_and_another_one_opens(self):
        def scenario(connection):
            channel = yield open_channel(connection)

            def fail(done):
                channel.add_on_close_callback(done)
                channel.queue_declare('pmq-missing', passive=True)

            _, reason = yield fail
            self.assertIsInstance(reason, ChannelClosedByBroker)
            self.assertEqual((reason.reply_code, reason.reply_text), (404, "NOT_FOUND - no queue 'pmq-missing' in vhost '/'"))
            channel = yield open_channel(connection)
            yield declare(channel)

        self.play(scenario)

    def test_a_deleted_queue_cancels_its_consumer(self):
        def scenario(connection):
            channel = yield open_channel(connection)
            queue = (yield declare(channel)).method.queue
            tag = []
            yield lambda done: tag.append(channel.basic_consume(queue, lambda *_: None, callback=done))

            def delete(done):
                channel.add_on_cancel_callback(done)
                channel.queue_delete(queue)

            cancelled = yield delete
            self.assertEqual(cancelled.method.consumer_tag, tag[0])

        self.play(scenario)

    def test_transactions_commit_and_roll_back(self):
        def scenario(connection):
            channel = yield open_channel(connection)
            queue = (yield declare(channel)).method.queue
            yield lambda done: channel.tx_select(callback=done)
            channel.basic_publish('', queue, 'never')
            yield lambda done: channel.tx_rollback(callback=done)
            channel.basic_publish('', queue, 'kept')
            yield lambda done: channel.tx_commit(callback=done)
            _, _, _, body = yield lambda done: channel.basic_get(queue, done)
            self.assertEqual(body, b'kept')
            emptied = yield declare(channel, queue, passive=True)
            self.assertEqual(emptied.method.message_count, 0)

        self.play(scenario)

    def test_topics_and_headers_route(self):
        def scenario(connection):
            channel = yield open_channel(connection)
            queue = (yield declare(channel)).method.queue
            key = unique('key')
            yield lambda done: channel.queue_bind(queue, 'amq.topic', f'{key}.*.#', callback=done)
            yield lambda done: channel.queue_bind(queue, 'amq.headers', '', {'x-match': 'any', key: 1}, callback=done)
            yield lambda done: channel.confirm_delivery(lambda frame: self.count(frame, 3), callback=done)
            channel.basic_publish('amq.topic', key, 'too short')
            channel.basic_publish('amq.topic', f'{key}.one', 'topic')
            channel.basic_publish('amq.headers', '', 'header', pika.BasicProperties(headers={key: 1}))
            yield self.resume_by('counted')
            for wanted in (b'topic', b'header'):
                _, _, _, body = yield lambda done: channel.basic_get(queue, done, auto_ack=True)
                self.assertEqual(body, wanted)

        self.play(scenario)

    def count(self, frame, last):
        if frame.method.delivery_tag == last:
            self.counted()

    @managed
    def test_the_operator_closes_a_connection(self):
        name = unique('connection')

        def scenario(connection):
            yield open_channel(connection)
            close_as_operator(name)
            yield lambda done: None

        ending = self.play(scenario, client_properties={'connection_name': name})
        self.assertIsInstance(ending, ConnectionClosedByBroker)
        self.assertEqual((ending.reply_code, ending.reply_text), (320, CLOSED_BY_OPERATOR))

    def test_a_wrong_password_is_reported(self):
        ending = self.play(None, credentials=pika.PlainCredentials('guest', 'wrong'))
        self.assertIsInstance(ending, ProbableAuthenticationError)

    def test_an_unknown_vhost_is_reported(self):
        ending = self.play(None, virtual_host='nowhere')
        self.assertIsInstance(ending, ProbableAccessDeniedError)

    def test_a_heartbeat_is_agreed_on(self):
        def scenario(connection):
            self.assertEqual(connection.params.heartbeat, 9)
            yield open_channel(connection)

        self.play(scenario, heartbeat=9)
