"""The service over TLS, with a certificate of an authority that the client is told of.

Needs curl and openssl.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from server import EXAMPLES, MASK_CLI, serve  # noqa: E402


class Tls(unittest.TestCase):
    def test_requests_are_encrypted(self):
        with tempfile.TemporaryDirectory() as folder:
            here = pathlib.Path(folder)
            certificate, key = here / "cert.pem", here / "key.pem"
            command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
            command += ["-keyout", key, "-out", certificate, "-subj", "/CN=localhost"]
            command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
            subprocess.run(command, check=True, capture_output=True)
            server, address = serve("--cert", certificate, "--key", key)
            self.assertTrue(address.startswith("https://127.0.0.1:"))
            ask = ["curl", "-sS", "--data-binary", f"@{EXAMPLES / 'astronaut.jpg'}", f"{address}/v1/detect"]
            for version in ("--http1.1", "--http2"):
                done = subprocess.run([*ask, version, "--cacert", certificate], capture_output=True, check=True)
                self.assertEqual(json.loads(done.stdout)["faces"][0]["label"], "without_mask")
            # Who does not know the authority, or does not encrypt, is not answered.
            self.assertNotEqual(subprocess.run(ask, capture_output=True).returncode, 0)
            plain = [part.replace("https:", "http:") for part in ask]
            self.assertNotEqual(subprocess.run(plain, capture_output=True).returncode, 0)
            server.terminate()
            self.assertEqual(server.wait(), 0)
            server.stderr.close()
            command = [MASK_CLI, "serve", "--device", "cpu", "--cert", key, "--key", key]
            wrong = subprocess.run(command, capture_output=True, text=True)
            self.assertEqual(wrong.returncode, 2)
            self.assertIn("cannot use the certificate", wrong.stderr)


if __name__ == "__main__":
    unittest.main()
