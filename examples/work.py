"""A child script: python work.py NAME SECONDS."""

import sys
import time

name, seconds = sys.argv[1], float(sys.argv[2])
print(f"{name}: starting work", flush=True)
time.sleep(seconds)
print(f"{name}: work work work work work", flush=True)
time.sleep(seconds)
print(f"{name}: done working", flush=True)
