// celery, task queues for Python, over kombu, which is also tested by itself: the tests are in celery/.

import { describePython } from "./python.mjs";

describePython("celery");
