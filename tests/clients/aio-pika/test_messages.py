"""Publishing, consuming, settling, dead letters and transactions, with aio-pika."""
import asyncio
from datetime import timedelta

from aio_pika import Message
from aio_pika.exceptions import DeliveryError, PublishError, QueueEmpty
from aio_pika.patterns import RPC, JsonMaster, NackMessage, RejectMessage
from broker import unique
from support import BrokerTest


class Messages(BrokerTest):
    async def test_prefetch_and_acks(self):
        await self.channel.set_qos(prefetch_count=2)
        queue = await self.own_queue()
        got = asyncio.Queue()
        await queue.consume(got.put)
        await self.send(queue, b'one', b'two', b'three')
        first, second = await got.get(), await got.get()
        self.assertEqual(await self.ready(queue), 1)
        await second.ack(multiple=True)
        third = await got.get()
        self.assertEqual([message.body for message in (first, second, third)], [b'one', b'two', b'three'])

    async def test_a_failed_process_requeues_or_rejects(self):
        queue = await self.own_queue()
        await self.send(queue, b'task')
        for requeue, redelivered in ((True, False), (False, True)):
            message = await queue.get()
            self.assertEqual(message.redelivered, redelivered)
            with self.assertRaises(ZeroDivisionError):
                async with message.process(requeue=requeue):
                    1 / 0
        with self.assertRaises(QueueEmpty):
            await queue.get()

    async def test_mandatory_is_the_default_and_a_returned_message_raises(self):
        async with self.connection.channel(on_return_raises=True) as channel:
            with self.assertRaises(PublishError) as refused:
                await channel.default_exchange.publish(Message(b'come back'), unique('nobody'))
        self.assertIn('NO_ROUTE', str(refused.exception))

    async def test_a_returned_message_reaches_the_callback(self):
        returned = asyncio.get_running_loop().create_future()
        self.channel.return_callbacks.add(lambda _, message: returned.set_result(message.body))
        await self.channel.default_exchange.publish(Message(b'come back'), unique('nobody'))
        self.assertEqual(await returned, b'come back')

    async def test_a_full_queue_that_rejects_nacks(self):
        queue = await self.own_queue(max_length=1, overflow='reject-publish')
        await self.send(queue, b'one')
        with self.assertRaises(DeliveryError):
            await self.send(queue, b'two')
        self.assertEqual(await self.bodies(queue, 1), [b'one'])

    async def test_topics_and_headers_route(self):
        topic = await self.channel.declare_exchange(unique('topic'), 'topic', auto_delete=True)
        headers = await self.channel.declare_exchange(unique('headers'), 'headers', auto_delete=True)
        queue = await self.own_queue()
        await queue.bind(topic, '*.critical.#')
        await queue.bind(headers, arguments={'x-match': 'all', 'format': 'pdf', 'pages': 2})
        for key in ('kern.critical', 'critical', 'kern.critical.disk'):
            await topic.publish(Message(key.encode()), key, mandatory=False)
        for pages in (1, 2):
            message = Message(b'%d' % pages, headers={'format': 'pdf', 'pages': pages})
            await headers.publish(message, '', mandatory=False)
        self.assertEqual(await self.bodies(queue, 3), [b'kern.critical', b'kern.critical.disk', b'2'])

    async def test_expired_messages_are_dead_lettered(self):
        graveyard = await self.own_queue()
        queue = await self.own_queue(dead_letter_exchange='', dead_letter_routing_key=graveyard.name)
        await self.send(queue, b'late', expiration=timedelta(milliseconds=1))
        (message,) = await self.take(graveyard)
        self.assertEqual(message.body, b'late')
        self.assertIsNone(message.expiration)
        death = message.headers['x-death'][0]
        self.assertEqual((death['reason'], death['queue'], death['count']), ('expired', queue.name, 1))

    async def test_a_retry_by_two_queues_counts_its_deaths(self):
        work, wait = unique('work'), unique('wait')
        queue = await self.declare_dead_lettering(work, wait)
        await self.declare_dead_lettering(wait, work, {'x-message-ttl': 1})
        await self.send(queue, b'task')
        for _ in range(3):
            async with queue.iterator() as messages:
                message = await anext(messages)
                await message.reject()
        (message,) = await self.take(queue)
        counts = {death['queue']: (death['reason'], death['count']) for death in message.headers['x-death']}
        self.assertEqual(counts, {work: ('rejected', 3), wait: ('expired', 3)})

    async def declare_dead_lettering(self, name, target, arguments={}):
        letters = {'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': target}
        return await self.channel.declare_queue(name, exclusive=True, arguments=letters | arguments)

    async def test_higher_priorities_go_first(self):
        queue = await self.own_queue(max_priority=3)
        for priority in (0, 3, 1, 2):
            await self.send(queue, b'%d' % priority, priority=priority)
        self.assertEqual(await self.bodies(queue, 4), [b'3', b'2', b'1', b'0'])

    async def test_a_transaction_commits_or_rolls_back(self):
        queue = await self.own_queue()
        channel = await self.connection.channel(publisher_confirms=False)
        async with channel.transaction():
            await channel.default_exchange.publish(Message(b'kept'), queue.name)
        with self.assertRaises(ZeroDivisionError):
            async with channel.transaction():
                await channel.default_exchange.publish(Message(b'never'), queue.name)
                1 / 0
        await self.send(queue, b'later')
        self.assertEqual(await self.bodies(queue, 2), [b'kept', b'later'])

    async def test_a_deleted_queue_cancels_its_consumer(self):
        queue = await self.own_queue()
        cancelled = asyncio.get_running_loop().create_future()
        underlay = await self.channel.get_underlay_channel()
        underlay.on_consumer_cancel_callbacks.add(lambda frame: cancelled.set_result(frame.consumer_tag))
        tag = await queue.consume(lambda message: None)
        await queue.delete(if_unused=False)
        self.assertEqual(await cancelled, tag)


class Patterns(BrokerTest):
    async def test_calls_get_replies_over_their_own_queues(self):
        async def multiply(*, x, y):
            return x * y

        rpc = await RPC.create(self.channel)
        name = unique('multiply')
        await rpc.register(name, multiply, auto_delete=True)
        answers = await asyncio.gather(*(rpc.call(name, {'x': x, 'y': 7}) for x in range(5)))
        self.assertEqual(answers, [0, 7, 14, 21, 28])
        await rpc.close()

    async def test_a_call_without_a_reply_in_time_fails(self):
        rpc = await RPC.create(self.channel)
        queue = await self.own_queue(dead_letter_exchange=RPC.DLX_NAME)
        with self.assertRaises(TimeoutError):
            await rpc.call(queue.name, expiration=0.001)
        await rpc.close()

    async def test_a_direct_reply(self):
        questions = await self.own_queue()
        replies = await self.channel.get_queue('amq.rabbitmq.reply-to', ensure=False)
        answered = asyncio.get_running_loop().create_future()
        await replies.consume(lambda message: answered.set_result(message.body), no_ack=True)
        await self.send(questions, b'question', reply_to='amq.rabbitmq.reply-to')
        (question,) = await self.take(questions)
        async with self.connection.channel() as other:
            await other.default_exchange.publish(Message(question.body.upper()), question.reply_to)
        self.assertEqual(await answered, b'QUESTION')

    async def test_a_master_gives_its_workers_tasks(self):
        name = unique('worker')
        done = asyncio.Queue()
        tried = []

        async def work(*, number):
            tried.append(number)
            if number == 1 and tried.count(1) == 1:
                raise NackMessage(requeue=True)
            if number == 2:
                raise RejectMessage(requeue=False)
            await done.put(number)

        await self.channel.set_qos(prefetch_count=1)
        master = JsonMaster(self.channel)
        await master.create_worker(name, work, auto_delete=True)
        for number in (1, 2, 3):
            await master.create_task(name, {'number': number})
        self.assertEqual([await done.get() for _ in range(2)], [1, 3])
        self.assertEqual(tried, [1, 1, 2, 3])
