"""The examples, run."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from unittest.mock import MagicMock

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

EXAMPLES = ROOT / "examples" / "python"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_fastapi(masked):
    pytest.importorskip("fastapi")
    from fastapi.testclient import TestClient

    client = TestClient(load("fastapi_app").app)
    answer = client.post("/detect", files={"image": ("photo.jpg", masked.read_bytes())})
    assert answer.json()["image"] == "photo.jpg"
    assert answer.json()["faces"][0]["label"] == "with_mask"
    assert client.post("/detect", files={"image": ("a.txt", b"no image")}).status_code == 422


def test_opencv_loop(masked, tmp_path, monkeypatch, capsys):
    cv2 = pytest.importorskip("cv2")
    video, shown = str(tmp_path / "video.avi"), []
    writer = cv2.VideoWriter(video, cv2.VideoWriter_fourcc(*"MJPG"), 10, (512, 512))
    for _ in range(6):
        writer.write(cv2.imread(str(masked)))
    writer.release()
    # The package without windows has no function to show one.
    monkeypatch.setattr(cv2, "imshow", lambda name, image: shown.append(image))
    monkeypatch.setattr(cv2, "waitKey", lambda time: -1)
    load("opencv_loop").main(video)
    assert len(shown) == 6
    assert capsys.readouterr().out == "{'with_incorrect_mask': 0, 'with_mask': 1, 'without_mask': 0}\n"


def test_gradio(masked, monkeypatch):
    # What is shown is Gradio's; what it is given is ours.
    monkeypatch.setitem(sys.modules, "gradio", MagicMock())
    app = load("gradio_app")
    drawn, rows = app.detect(np.asarray(Image.open(masked)))
    assert drawn.shape == (512, 512, 3)
    assert rows[0][0] == "with_mask"
    assert app.detect(None) == (None, [])


def test_notebook(tmp_path):
    pytest.importorskip("nbconvert")
    command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute"]
    notebook = EXAMPLES / "notebook.ipynb"
    subprocess.run([*command, "--output-dir", tmp_path, notebook], check=True, capture_output=True)
    text = Path(tmp_path / "notebook.ipynb").read_text()
    assert "data:image/jpeg;base64," in text
    assert "with_incorrect_mask" in text
