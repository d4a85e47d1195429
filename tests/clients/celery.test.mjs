// celery, tasks for Python programs, over kombu, which also has tests of its own: the tests are in celery/.

import { describePython } from "./python.mjs";

describePython("celery");
