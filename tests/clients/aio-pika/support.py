"""The base of every aio-pika test: a loop of its own, a connection, a channel."""
import asyncio
import unittest
from contextlib import asynccontextmanager

import aio_pika
from aio_pika import Message
from broker import URL


class BrokerTest(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        # Debug mode records where each task was made, which takes longer than the tasks themselves.
        asyncio.get_running_loop().set_debug(False)
        self.connection = await self.connect()
        self.channel = await self.connection.channel()

    async def connect(self, url=URL, how=aio_pika.connect, **options):
        connection = await how(url, **options)
        self.addAsyncCleanup(connection.close)
        return connection

    async def own_queue(self, channel=None, **arguments):
        """Declares an exclusive queue, which is deleted with its connection; `max_length=1` is x-max-length."""
        named = {f'x-{name.replace("_", "-")}': value for name, value in arguments.items()}
        return await (channel or self.channel).declare_queue(exclusive=True, arguments=named)

    async def send(self, queue, *bodies, **properties):
        for body in bodies:
            await self.channel.default_exchange.publish(Message(body, **properties), queue.name)

    async def take(self, queue, count=1):
        """Waits for the next messages of a queue."""
        got = []
        async with queue.iterator() as messages:
            async for message in messages:
                await message.ack()
                got.append(message)
                if len(got) == count:
                    return got

    async def bodies(self, queue, count):
        return [message.body for message in await self.take(queue, count)]

    async def ready(self, queue):
        """Returns how many messages of a queue are ready, over a channel of its own."""
        async with self.connection.channel() as channel:
            return (await channel.declare_queue(queue.name, passive=True)).declaration_result.message_count

    @asynccontextmanager
    async def refused(self, kind, text):
        with self.assertRaises(kind) as refusal:
            yield
        self.assertIn(text, str(refusal.exception))
