"""The examples of docs/server.md, run as they stand.

    MASK_CLI=target/debug/mask-cli python -m unittest tests/page/test_documents.py

Needs curl and node.
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from server import EXAMPLES, ROOT, serve  # noqa: E402

TEXT = (ROOT / "docs/server.md").read_text()


def blocks(language):
    """The code of a language, with the address of a server in the place of the default one."""
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.S)


class Documents(unittest.TestCase):
    def setUp(self):
        self.server, self.address = serve()
        self.folder = tempfile.TemporaryDirectory()
        here = pathlib.Path(self.folder.name)
        shutil.copy(EXAMPLES / "astronaut_masked.jpg", here / "photo.jpg")
        shutil.copy(ROOT / "crates/mask-cli/tests/fixtures/rgb.png", here / "other.png")

    def tearDown(self):
        self.server.terminate()
        self.assertEqual(self.server.wait(), 0)
        self.server.stderr.close()
        self.folder.cleanup()

    def run_example(self, command, code):
        code = code.replace("http://127.0.0.1:8080", self.address)
        done = subprocess.run([*command, code], cwd=self.folder.name, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_curl(self):
        code = next(code for code in blocks("sh") if code.startswith("curl"))
        self.assertEqual(code.count("curl"), 4)
        printed = self.run_example(["sh", "-ec"], code.replace("\n", "\necho\n"))
        one, many = [json.loads(line) for line in printed.splitlines() if line]
        self.assertEqual([face["label"] for face in one["faces"]], ["with_mask"])
        self.assertEqual([record["image"] for record in many], ["photo.jpg", "other.png"])
        files = {name: (pathlib.Path(self.folder.name) / name).read_bytes() for name in ("drawn.jpg", "nobody.png")}
        self.assertEqual((files["drawn.jpg"][:2], files["nobody.png"][:4]), (b"\xff\xd8", b"\x89PNG"))

    def test_python(self):
        printed = self.run_example([sys.executable, "-c"], *blocks("python"))
        self.assertTrue(printed.startswith("with_mask 1.0 {'x_min': "), printed)

    def test_javascript(self):
        printed = self.run_example(["node", "--input-type=module", "-e"], *blocks("js"))
        self.assertTrue(printed.startswith("with_mask 1.00 "), printed)


if __name__ == "__main__":
    unittest.main()
