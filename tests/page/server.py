"""A server to test."""

import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
MASK_CLI = os.environ.get("MASK_CLI", str(ROOT / "target/debug/mask-cli"))


def serve(*arguments):
    """A server and its address."""
    command = [MASK_CLI, "serve", "--listen", "127.0.0.1:0", "--device", "cpu", "--log", "errors", *arguments]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in child.stderr:
        if "listening on" in line:
            return child, line.split()[-1]
    raise RuntimeError("the server does not run")
