// aio-pika, the Python client for asyncio, which reconnects by itself: the tests are in aio-pika/.

import { describePython } from "./python.mjs";

describePython("aio-pika");
