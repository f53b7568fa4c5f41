"""Runs a command and prints its wall seconds and peak memory in MiB, for `cargo xtask bench peers`.

usage: measure.py COMMAND ARGUMENT...
"""

import resource
import subprocess
import sys
import time

start = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
seconds = time.perf_counter() - start
print(seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
