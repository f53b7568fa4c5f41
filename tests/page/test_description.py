"""/openapi.json against what the server does, with requests that schemathesis makes.

    MASK_CLI=target/debug/mask-cli python -m unittest tests/page/test_description.py
"""

import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from server import serve  # noqa: E402


class Description(unittest.TestCase):
    def test_the_server_does_what_it_says(self):
        server, address = serve()
        command = [pathlib.Path(sys.executable).absolute().parent / "schemathesis", "run", f"{address}/openapi.json"]
        # No schema says which bytes are an image, so that most of what is made is refused.
        command += ["--exclude-checks", "positive_data_acceptance"]
        command += ["--url", address, "--seed", "1", "--max-examples", "60", "--no-color"]
        # What it keeps for its next run has no use here.
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        server.terminate()
        self.assertEqual(done.returncode, 0, done.stdout[-4000:])
        self.assertIn("Tested: 9", done.stdout)
        self.assertEqual(server.wait(), 0)
        server.stderr.close()


if __name__ == "__main__":
    unittest.main()
