"""The page of `mask-cli serve`, in a browser, as people use it.

    MASK_CLI=target/debug/mask-cli python -m unittest tests/page/test_page.py

Needs Chromium, ffmpeg, and what requirements.txt names.
"""

import csv
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import urllib.request

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from server import EXAMPLES, MASK_CLI, ROOT, serve  # noqa: E402

FIXTURES = ROOT / "crates/mask-cli/tests/fixtures"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
PATIENCE = 60_000


def detect(path):
    output = subprocess.run([MASK_CLI, "detect", "--device", "cpu", path], capture_output=True, check=True)
    return json.loads(output.stdout)


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        camera = pathlib.Path(cls.folder.name) / "camera.y4m"
        masked = EXAMPLES / "astronaut_masked.jpg"
        command = ["ffmpeg", "-v", "error", "-loop", "1", "-i", masked, "-t", "2", "-r", "10"]
        subprocess.run(command + ["-vf", "crop=512:384:0:0", "-pix_fmt", "yuv420p", camera], check=True)
        cls.server, cls.address = serve()
        cls.playwright = sync_playwright().start()
        cls.browser = cls.playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-video-capture={camera}",
            ],
        )

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.playwright.stop()
        cls.server.terminate()
        assert cls.server.wait() == 0
        cls.server.stderr.close()
        cls.folder.cleanup()

    def setUp(self):
        self.context = self.browser.new_context(permissions=["camera", "clipboard-read", "clipboard-write"])
        self.context.set_default_timeout(PATIENCE)
        self.page = self.context.new_page()
        self.requests, self.faults = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.open(self.address)

    def open(self, address):
        self.page.goto(address)
        expect(self.page.locator("#confidence-value")).to_have_text("65 %")

    def tearDown(self):
        own = ("http://127.0.0.1:", "ws://127.0.0.1:", "blob:http://127.0.0.1:", "data:")
        self.assertEqual([url for url in self.requests if not url.startswith(own)], [])
        self.assertEqual(self.faults, [])
        self.context.close()

    def upload(self, *paths):
        self.page.set_input_files("#files", paths)
        self.done()

    def done(self):
        expect(self.page.locator("#status")).to_contain_text("Done", timeout=PATIENCE)

    def texts(self, selector):
        return self.page.locator(selector).all_inner_texts()

    def download(self, button):
        with self.page.expect_download() as download:
            button.click()
        return download.value.suggested_filename, pathlib.Path(download.value.path()).read_bytes()

    def button(self, name):
        return self.page.get_by_role("button", name=name, exact=True)

    def test_several_files_are_shown_in_their_order_each_with_its_own_error(self):
        broken = pathlib.Path(self.folder.name) / "broken.jpg"
        broken.write_bytes(b"\xff\xd8\xff and no more")
        self.upload(EXAMPLES / "astronaut.jpg", broken, EXAMPLES / "astronaut_masked.jpg")
        self.assertEqual(self.texts("article h3"), ["astronaut.jpg", "broken.jpg", "astronaut_masked.jpg"])
        self.assertEqual(self.texts("caption"), ["1 face: 1 without mask", "1 face: 1 with mask"])
        expect(self.page.locator("article .wrong")).to_contain_text("damaged JPEG")
        expect(self.page.locator("#totals")).to_have_text("3 images, 2 faces: 1 with mask, 1 without mask")
        self.button("Clear").click()
        self.assertEqual(self.texts("article"), [])

    def test_boxes_are_those_of_the_command_line(self):
        # One of them lies on its side and says so; the browser cannot show another.
        netpbm = pathlib.Path(self.folder.name) / "plain.ppm"
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", EXAMPLES / "astronaut.jpg", netpbm], check=True)
        paths = [EXAMPLES / "result.jpg", FIXTURES / "rotated.jpg", netpbm]
        self.upload(*paths)
        for path in paths:
            name, content = self.download(self.button(f"JSON of {path.name}"))
            self.assertEqual(name, f"{path.stem}.json")
            shown, expected = json.loads(content), detect(path)
            for field in ("width", "height", "faces"):
                self.assertEqual(shown[field], expected[field], path)
            sides = self.page.locator("article", has_text=path.name).locator("canvas").evaluate(
                "canvas => [canvas.width, canvas.height]"
            )
            self.assertEqual(sides, [expected["width"], expected["height"]])

    def test_boxes_are_drawn_in_the_colour_of_the_class(self):
        self.upload(EXAMPLES / "astronaut_masked.jpg")
        face = detect(EXAMPLES / "astronaut_masked.jpg")["faces"][0]["box"]
        # The line reaches a pixel or more to both sides of the edge, so that it covers this one.
        where = [int(face["x_min"]), int((face["y_min"] + face["y_max"]) / 2)]
        pixel = self.page.locator("canvas.picture").evaluate(
            "(canvas, [x, y]) => [...canvas.getContext('2d').getImageData(x, y, 1, 1).data]", where
        )
        for channel, wanted in zip(pixel, (0, 158, 60)):
            self.assertLess(abs(channel - wanted), 40, pixel)

    def test_settings_change_what_is_shown_at_once(self):
        self.upload(EXAMPLES / "result.jpg")
        sent = len(self.requests)
        rows = self.page.locator("tbody tr")
        all_of_them = rows.count()
        self.page.get_by_role("checkbox", name="without mask").uncheck()
        without = [text for text in self.texts("tbody td:first-child") if text == "without mask"]
        self.assertEqual(without, [])
        self.page.get_by_role("checkbox", name="without mask").check()
        self.assertEqual(rows.count(), all_of_them)
        self.page.locator("#confidence").fill("1")
        expect(self.page.locator("caption")).to_have_text("no faces")
        self.page.locator("#confidence").fill("0.2")
        self.assertGreaterEqual(rows.count(), all_of_them)
        self.assertEqual(len(self.requests), sent)

    def test_faces_are_made_unrecognisable_in_what_is_saved(self):
        self.upload(EXAMPLES / "astronaut.jpg")
        self.page.get_by_label("Make faces unrecognisable").check()
        name, content = self.download(self.button("Image of astronaut.jpg"))
        path = pathlib.Path(self.folder.name) / name
        path.write_bytes(content)
        self.assertEqual((name, detect(path)["faces"]), ("astronaut-faces.png", []))

    def test_results_are_saved_as_files(self):
        paths = [EXAMPLES / "astronaut.jpg", ROOT / "README.md", EXAMPLES / "result.jpg"]
        self.upload(*paths)
        name, content = self.download(self.button("All as CSV"))
        command = [MASK_CLI, "detect", "--device", "cpu", "--format", "csv", *paths]
        printed = subprocess.run(command, capture_output=True, text=True).stdout
        rows, expected = ([*csv.DictReader(io.StringIO(text))] for text in (content.decode(), printed))
        self.assertEqual((name, len(rows), list(rows[0])), ("faces.csv", len(expected), list(expected[0])))
        for row, wanted in zip(rows, expected):
            for column, value in wanted.items():
                if column == "image":
                    self.assertEqual(row[column], pathlib.Path(value).name)
                elif column in ("label", "error") or not value:
                    self.assertEqual(row[column], value)
                else:
                    self.assertAlmostEqual(float(row[column]), float(value), places=3)
        name, content = self.download(self.button("All as JSON"))
        records = [json.loads(line) for line in content.decode().splitlines()]
        self.assertEqual([record["image"] for record in records], ["astronaut.jpg", "README.md", "result.jpg"])
        name, content = self.download(self.button("Image of result.jpg"))
        self.assertEqual((name, content[:4]), ("result-faces.png", b"\x89PNG"))

    def test_images_are_pasted_and_dropped(self):
        image = list((EXAMPLES / "astronaut.jpg").read_bytes())
        for kind in ("paste", "drop"):
            self.page.evaluate(
                """([kind, bytes]) => {
                    const files = new DataTransfer();
                    files.items.add(new File([new Uint8Array(bytes)], kind + ".jpg", { type: "image/jpeg" }));
                    const event = kind === "paste"
                        ? new ClipboardEvent(kind, { clipboardData: files, bubbles: true })
                        : new DragEvent(kind, { dataTransfer: files, bubbles: true, cancelable: true });
                    document.body.dispatchEvent(event);
                }""",
                [kind, image],
            )
            self.done()
            expect(self.page.locator("article h3").first).to_have_text(f"{kind}.jpg")
        self.assertEqual(self.texts("caption"), ["1 face: 1 without mask"] * 2)

    def test_the_camera_is_watched_live(self):
        self.button("Use the camera").click()
        expect(self.page.locator("#camera-counts")).to_have_text("1 face: 1 with mask", timeout=PATIENCE)
        expect(self.page.locator("#camera-state")).to_have_text(re.compile(r"\d+ pictures a second, \d+ ms behind"))
        overlay = "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean)"
        self.assertTrue(self.page.locator("#overlay").evaluate(overlay))
        self.button("Stop the camera").click()
        expect(self.page.locator("#camera")).to_be_hidden()
        # The server sees it go.
        figures = ""
        for _ in range(100):
            figures = urllib.request.urlopen(f"{self.address}/metrics").read().decode()
            if "mask_live_sessions 0\n" in figures:
                break
            self.page.wait_for_timeout(100)
        self.assertIn("mask_live_sessions 0\n", figures)

    def test_the_keyboard_is_enough(self):
        page = self.page
        # Playwright does not wait for Chromium to let go of its own dialog: a key right after would meet that.
        page.on("filechooser", lambda chooser: None)
        focused = lambda: page.evaluate("document.activeElement.id || document.activeElement.textContent")
        seen = []
        for _ in range(12):
            page.keyboard.press("Tab")
            seen.append(focused())
        self.assertEqual(seen[:5], ["Detect", "API", "files", "camera-start", "confidence"])
        page.locator("#files").focus()
        with page.expect_file_chooser() as chooser:
            page.keyboard.press("Space")
        chooser.value.set_files([EXAMPLES / "astronaut.jpg"])
        self.done()
        page.locator("#confidence").focus()
        page.keyboard.press("End")
        expect(page.locator("caption")).to_have_text("no faces")
        page.keyboard.press("Home")
        expect(page.locator("caption")).to_contain_text("without mask")
        page.locator("#camera-start").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#camera-counts")).to_contain_text("1 face", timeout=PATIENCE)
        self.assertEqual(focused(), "camera-stop")
        page.keyboard.press("Enter")
        expect(page.locator("#camera")).to_be_hidden()
        self.assertEqual(focused(), "camera-start")

    def test_nothing_keeps_anybody_out(self):
        axe = Axe()
        for scheme in ("light", "dark"):
            self.page.emulate_media(color_scheme=scheme)
            self.open(self.address)
            self.assertEqual(axe.run(self.page).response["violations"], [])
            self.upload(EXAMPLES / "result.jpg", ROOT / "README.md")
            self.button("Use the camera").click()
            expect(self.page.locator("#camera-counts")).to_contain_text("1 face", timeout=PATIENCE)
            self.assertEqual(axe.run(self.page).response["violations"], [])
            self.button("Stop the camera").click()
            self.page.goto(f"{self.address}/api")
            expect(self.page.locator("#operations section")).to_have_count(9)
            self.assertEqual(axe.run(self.page).response["violations"], [])

    def test_cameras_of_the_server_are_shown_with_their_past(self):
        folder = pathlib.Path(self.folder.name)
        video = folder / "door.mp4"
        command = ["ffmpeg", "-v", "error", "-y", "-loop", "1", "-i", EXAMPLES / "astronaut.jpg", "-t", "60"]
        subprocess.run(command + ["-r", "5", "-pix_fmt", "yuv420p", video], check=True)
        rule = "[[rule]]\nname = 'bare'\nwhen = 'class'\nclass = 'without_mask'\nseconds = 0.5\n"
        (folder / "scene.toml").write_text(rule)
        stream = "[[stream]]\nname = 'the door'\nsource = 'door.mp4'\nlive = true\nscene = 'scene.toml'\n"
        (folder / "streams.toml").write_text(stream)
        server, address = serve(
            "--config", folder / "streams.toml", "--db", folder / "record.sqlite", "--db-interval", "0.5"
        )
        try:
            self.open(address)
            self.page.get_by_role("link", name="Cameras").click()
            section = self.page.get_by_role("region", name="the door")
            expect(section.locator(".hint").first).to_contain_text("pictures a second", timeout=PATIENCE)
            tile = section.locator(".tile", has_text="without mask")
            expect(tile.locator("strong")).to_have_text("1")
            expect(tile).to_contain_text("1 so far")
            picture = "canvas => canvas.getContext('2d').getImageData(0, 0, 9, 9).data.some(Boolean)"
            expect(section.locator("canvas")).to_have_attribute("width", "512", timeout=PATIENCE)
            self.assertTrue(section.locator("canvas").evaluate(picture))
            expect(section.locator(".events li").first).to_contain_text("bare: without_mask for 0.5 s", timeout=PATIENCE)
            expect(section.get_by_role("img", name="People in the door")).to_be_visible(timeout=PATIENCE)
            self.assertEqual(Axe().run(self.page).response["violations"], [])
        finally:
            server.terminate()
            self.assertEqual(server.wait(), 0)
            server.stderr.close()

    def test_a_key_is_asked_for(self):
        keys = pathlib.Path(self.folder.name) / "keys.txt"
        keys.write_text("a-key-of-sufficient-length\n")
        server, address = serve("--api-keys", keys)
        try:
            self.open(address)
            self.upload(EXAMPLES / "astronaut.jpg")
            expect(self.page.locator("article .wrong")).to_contain_text("send an API key")
            self.page.get_by_label("API key").fill("a-key-of-sufficient-length")
            self.upload(EXAMPLES / "astronaut.jpg")
            expect(self.page.locator("caption")).to_have_text("1 face: 1 without mask")
            self.button("Use the camera").click()
            expect(self.page.locator("#camera-counts")).to_contain_text("1 face", timeout=PATIENCE)
        finally:
            server.terminate()
            server.wait()
            server.stderr.close()


if __name__ == "__main__":
    unittest.main()
