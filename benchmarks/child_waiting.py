"""A training that goes on until it is asked to leave, and leaves at once; also when its daemon is gone."""

import os
import signal
import sys

LAPSED, STOPPED = 84, 83

signal.signal(signal.SIGTERM, lambda *_: os._exit(STOPPED))
print('{"type":"progress","stage":"waiting"}', flush=True)
sys.stdin.buffer.read()
os._exit(LAPSED)
