// pika, the classic Python client, blocking and with callbacks: the tests are in pika/.

import { describePython } from "./python.mjs";

describePython("pika");
