"""Runs a program with another default port for pika: port.py PROGRAM, the port in REDIRECT_PORT.

For machines where port 5672 is taken; the program itself stays as it is.
"""
import os
import runpy
import sys

import pika

pika.connection.Parameters.DEFAULT_PORT = int(os.environ['REDIRECT_PORT'])
runpy.run_path(sys.argv[1], run_name='__main__')
