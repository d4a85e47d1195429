"""Logins, refusals, closes and reconnects, with aio-pika."""
import asyncio
import logging

import aio_pika
from aio_pika import Message
from aio_pika.exceptions import (
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    ConnectionClosed,
    InvalidFrameError,
    ProbableAuthenticationError,
)
from broker import CLOSED_BY_OPERATOR, SMALL_URL, URL, close_as_operator, managed, small, unique
from support import BrokerTest
from yarl import URL as Address


class Connection(BrokerTest):
    async def test_a_wrong_password_is_refused(self):
        async with self.refused(ProbableAuthenticationError, 'ACCESS_REFUSED'):
            await aio_pika.connect(Address(URL).with_password('wrong'))

    async def test_an_unknown_vhost_is_refused(self):
        # It waits for open-ok, and names the method that came instead.
        async with self.refused(InvalidFrameError, 'Connection.Close'):
            await aio_pika.connect(Address(URL).with_path('/nowhere'))

    async def test_a_heartbeat_is_agreed_on(self):
        connection = await self.connect(str(Address(URL).with_query(heartbeat='7')))
        self.assertEqual(connection.transport.connection.connection_tune.heartbeat, 7)

    async def test_a_missing_queue_is_404(self):
        async with self.refused(ChannelNotFoundEntity, "NOT_FOUND - no queue 'pmq-missing' in vhost '/'"):
            await self.channel.get_queue('pmq-missing')
        self.assertTrue(self.channel.is_closed)
        await (await self.connection.channel()).declare_queue(exclusive=True)

    async def test_a_publish_to_a_missing_exchange_is_404(self):
        exchange = await self.channel.get_exchange('pmq-missing', ensure=False)
        async with self.refused(ChannelNotFoundEntity, "NOT_FOUND - no exchange 'pmq-missing'"):
            await exchange.publish(Message(b'x'), 'key')

    async def test_a_queue_of_other_arguments_is_406(self):
        name = unique('inequivalent')
        await self.channel.declare_queue(name, exclusive=True, arguments={'x-message-ttl': 1000})
        async with self.refused(ChannelPreconditionFailed, "inequivalent arg 'x-message-ttl'"):
            await self.channel.declare_queue(name, exclusive=True)

    async def test_a_robust_channel_opens_again_after_an_error(self):
        connection = await self.connect(how=aio_pika.connect_robust)
        channel = await connection.channel()
        async with self.refused(ChannelNotFoundEntity, 'NOT_FOUND'):
            await channel.get_queue('pmq-missing')
        await channel.reopen()
        await self.own_queue(channel)

    @managed
    async def test_the_operator_closes_a_connection(self):
        name = unique('connection')
        connection = await self.connect(client_properties={'connection_name': name})
        closed = asyncio.get_running_loop().create_future()
        connection.close_callbacks.add(lambda _, error: closed.set_result(error))
        await asyncio.to_thread(close_as_operator, name)
        error = await closed
        self.assertIsInstance(error, ConnectionClosed)
        self.assertIn(CLOSED_BY_OPERATOR, str(error))

    @managed
    async def test_a_robust_connection_reconnects_with_its_consumers(self):
        name = unique('connection')
        connection = await self.connect(
            how=aio_pika.connect_robust, client_properties={'connection_name': name}, reconnect_interval=0.01)
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=1)
        exchange = await channel.declare_exchange(unique('exchange'), 'topic', auto_delete=True)
        queue = await channel.declare_queue(unique('robust'), auto_delete=True)
        await queue.bind(exchange, 'a.#')
        got = asyncio.Queue()
        await queue.consume(got.put)
        await exchange.publish(Message(b'before'), 'a.b')
        await (await got.get()).ack()

        back = asyncio.Event()
        connection.reconnect_callbacks.add(lambda *_: back.set())
        await asyncio.to_thread(close_as_operator, name)
        await back.wait()
        await exchange.publish(Message(b'after'), 'a.c')
        message = await got.get()
        self.assertEqual(message.body, b'after')
        await message.ack()

    @small
    async def test_a_publisher_waits_while_memory_is_short(self):
        publisher, consumer = await self.connect(SMALL_URL), await self.connect(SMALL_URL)
        queue = await (await consumer.channel()).declare_queue(exclusive=False, auto_delete=True)
        channel = await publisher.channel()

        async def flood():
            for number in range(200):
                await channel.default_exchange.publish(Message(bytes(10_000), message_id=str(number)), queue.name)

        blocked, unblocked = self.logged('was blocked by'), self.logged('was unblocked')
        flooding = asyncio.create_task(flood())
        await blocked
        got = [int(message.message_id) for message in await self.take(queue, 200)]
        await flooding
        await unblocked
        self.assertEqual(got, list(range(200)))

    def logged(self, text):
        """Resolves once aio-pika logs this: it has no callback for connection.blocked."""
        seen = asyncio.get_running_loop().create_future()
        handler = logging.Handler()
        handler.emit = lambda record: text in record.getMessage() and not seen.done() and seen.set_result(None)
        logger = logging.getLogger('aiormq.connection')
        logger.addHandler(handler)
        self.addCleanup(logger.removeHandler, handler)
        return seen
