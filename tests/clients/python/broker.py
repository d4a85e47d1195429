"""The broker under test: its address, and its operator's actions."""
import base64
import json
import os
import time
import unittest
import uuid
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

URL = os.environ.get('AMQP_URL', 'amqp://localhost')
# The management API, and a broker whose memory is soon full; not every broker has them.
MANAGEMENT_URL = os.environ.get('MANAGEMENT_URL')
SMALL_URL = os.environ.get('SMALL_AMQP_URL')

OPERATOR = base64.b64encode(b'guest:guest').decode()
CLOSED_BY_OPERATOR = 'CONNECTION_FORCED - Closed via management plugin'

managed = unittest.skipUnless(MANAGEMENT_URL, 'the management API is not known')
small = unittest.skipUnless(SMALL_URL, 'no broker with a small memory is at hand')


def unique(label):
    """Returns a name that no other test uses, also on a broker that outlives the run."""
    return f'{label}-{uuid.uuid4()}'


def close_as_operator(name, seconds_max=20):
    """Closes the connection with this name. A broker may list it only a while after it has opened."""
    limit = time.monotonic() + seconds_max
    while not (found := [each for each in api('GET', '/connections') if is_named(each, name)]):
        assert time.monotonic() < limit, f'no connection is called {name}'
    for connection in found:
        api('DELETE', f'/connections/{quote(connection["name"], safe="")}')


def is_named(connection, name):
    return connection.get('client_properties', {}).get('connection_name') == name


def api(method, path):
    request = Request(f'{MANAGEMENT_URL}/api{path}', method=method, headers={'authorization': f'Basic {OPERATOR}'})
    with urlopen(request, timeout=10) as response:
        return json.loads(response.read() or 'null')
