"""Images of every kind that Python has, and what the detector says of them."""

import io
import json
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import mask_detector
import numpy as np
import pandas
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mask_detector import Detections, Detector, DetectorError, ImageError
from PIL import Image

SHAPES = st.tuples(st.integers(1, 90), st.integers(1, 90), st.sampled_from([None, 1, 3, 4])).map(
    lambda shape: shape if shape[2] else shape[:2]
)


def boxes(detections: Detections) -> list:
    return [(face.label, face.bbox, face.confidence) for face in detections]


def test_results_are_the_programs(detector, photos, program):
    output = subprocess.run(
        [program, "detect", "--format", "ndjson", *photos], check=True, capture_output=True, text=True
    )
    lines = output.stdout.splitlines()
    assert len(lines) == len(photos) == 3
    for photo, line in zip(photos, lines, strict=True):
        assert detector.detect(photo).to_json() == line
    assert [result.to_json() for result in detector.detect_batch(photos)] == lines


def test_every_form_of_an_image_has_the_same_faces(detector, masked, tmp_path):
    # PNG, so that every decoder makes the same pixels of it.
    pixels = np.asarray(Image.open(masked))
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    expected = boxes(detector.detect(path))
    assert [label for label, _, _ in expected] == ["with_mask"]
    data = path.read_bytes()
    height, width, _ = pixels.shape
    padded = np.full((height, width + 5, 3), 7, np.uint8)
    padded[:, :width] = pixels
    opaque = np.dstack([pixels, np.full((height, width), 9, np.uint8)])
    forms = {
        "str": str(path),
        "bytes": data,
        "bytearray": bytearray(data),
        "memoryview": memoryview(data),
        "array": pixels,
        "read-only": np.frombuffer(pixels.tobytes(), np.uint8).reshape(pixels.shape),
        "fortran": np.asfortranarray(pixels),
        "rows with gaps": padded[:, :width],
        "reversed twice": pixels[::-1][::-1],
        "rgba": opaque,
        "PIL": Image.open(path),
        "PIL rgba": Image.fromarray(opaque),
    }
    for name, form in forms.items():
        assert boxes(detector.detect(form)) == expected, name
    for name, form in {"bgr": pixels[..., ::-1], "bgra": opaque[..., [2, 1, 0, 3]]}.items():
        assert boxes(detector.detect(form, color="bgr")) == expected, name
        assert boxes(detector.detect(np.ascontiguousarray(form), color="bgr")) == expected, name
    assert boxes(detector.detect(pixels, color="bgr")) != expected
    # PIL's channels are in its own order.
    assert boxes(detector.detect(Image.open(path), color="bgr")) == expected


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shape=SHAPES, seed=st.integers(0, 9), steps=st.tuples(*[st.sampled_from([1, 2, -1, -3])] * 2))
def test_strides_change_nothing(detector, shape, seed, steps):
    rows, columns = (abs(step) * length for step, length in zip(steps, shape, strict=False))
    whole = np.random.default_rng(seed).integers(0, 256, (rows, columns, *shape[2:]), np.uint8)
    view = whole[:: steps[0], :: steps[1]]
    assert view.shape == shape
    result = detector.detect(view)
    assert (result.height, result.width) == shape[:2]
    assert boxes(result) == boxes(detector.detect(np.ascontiguousarray(view)))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.lists(st.integers(0, 6), max_size=5),
    dtype=st.sampled_from(["uint8", "int8", "uint16", "float32", "float64", "bool", "complex64", "U1"]),
)
def test_other_arrays_are_refused_in_words(detector, shape, dtype):
    array = np.zeros(shape, dtype)
    is_image = len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4))
    if dtype != "uint8":
        with pytest.raises(TypeError, match="uint8"):
            detector.detect(array)
    elif not is_image:
        with pytest.raises(ValueError, match="shape"):
            detector.detect(array)
    elif 0 in shape:
        with pytest.raises(ValueError, match="no pixels"):
            detector.detect(array)
    else:
        assert len(detector.detect(array)) == 0


def test_what_cannot_be_used_says_why(detector, tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        detector.detect(tmp_path / "absent.jpg")
    assert error.value.filename == str(tmp_path / "absent.jpg")
    text = tmp_path / "text.jpg"
    text.write_text("no image")
    with pytest.raises(ImageError, match="text.jpg: not an image"):
        detector.detect(text)
    with pytest.raises(ImageError, match="not an image"):
        detector.detect(b"no image")
    with pytest.raises(ImageError, match="empty"):
        detector.detect(b"")
    for value in (None, 7, ["a.jpg"], object()):
        with pytest.raises(TypeError, match="an image is a path"):
            detector.detect(value)
    with pytest.raises(ValueError, match="transpose"):
        detector.detect(np.zeros((3, 64, 64), np.uint8))
    with pytest.raises(ValueError, match="detect_batch"):
        detector.detect(np.zeros((2, 64, 64, 3), np.uint8))
    with pytest.raises(ValueError, match="'rgb' and 'bgr'"):
        detector.detect(b"", color="RGB")
    with pytest.raises(ValueError, match="text.jpg"):
        Detector(max_megapixels=1).detect_batch([text])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"device": "tpu"}, "valid are auto, cpu, gpu"),
        ({"threads": 0}, "1 or more"),
        ({"min_confidence": 1.5}, "from 0 to 1"),
        ({"max_iou": float("nan")}, "from 0 to 1"),
        ({"input_size": "large"}, "input_size"),
        ({"precision": "f16"}, "precision"),
        ({"tiles": 3}, "tiles=3"),
    ],
)
def test_wrong_arguments_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        Detector(**arguments)


def test_weights_that_cannot_be_used_are_named(tmp_path):
    with pytest.raises(DetectorError, match="absent.bpk"):
        Detector(head=tmp_path / "absent.bpk")
    with pytest.raises(DetectorError, match="GPU"):
        Detector(device="gpu:99")


def test_a_batch_is_its_images(detector, photos):
    pixels = np.asarray(Image.open(photos[2]))
    images = [photos[0], photos[1].read_bytes(), pixels, Image.open(photos[2]), str(photos[0])]
    alone = [boxes(detector.detect(image)) for image in images]
    assert [boxes(result) for result in detector.detect_batch(images)] == alone
    assert [boxes(result) for result in detector.detect_batch(iter(images))] == alone
    assert detector.detect_batch([]) == []


def test_a_batch_loses_nothing(detector, photos, tmp_path):
    images = [photos[0], tmp_path / "absent.jpg", None, b"no image", photos[1]]
    results = detector.detect_batch(images, errors="return")
    kinds = [type(result) for result in results]
    assert kinds == [Detections, FileNotFoundError, TypeError, ImageError, Detections]
    with pytest.raises(FileNotFoundError):
        detector.detect_batch([photos[0], tmp_path / "absent.jpg"])
    with pytest.raises(ValueError, match="'raise' and 'return'"):
        detector.detect_batch(images, errors="ignore")


def test_the_error_that_is_raised_is_an_images(masked):
    images = [masked.read_bytes()] * 60 + [b"no image"] + [masked.read_bytes()] * 60
    small = Detector(threads=3, input_size="64x64")
    with pytest.raises(ImageError, match="not an image"):
        small.detect_batch(images)


def test_a_batch_can_be_interrupted(masked):
    code = f"""
import os, signal, threading
from mask_detector import Detector
detector = Detector()
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    detector.detect_batch([{str(masked)!r}] * 100_000)
except KeyboardInterrupt:
    print("interrupted")
"""
    output = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    assert output.stdout == "interrupted\n"


def test_results_do_not_depend_on_threads(photos):
    one, many = Detector(threads=1), Detector(threads=5)
    for photo in photos:
        assert one.detect(photo).to_json() == many.detect(photo).to_json()
    assert [r.to_json() for r in one.detect_batch(photos)] == [r.to_json() for r in many.detect_batch(photos)]


def test_detections_are_a_sequence_with_arrays(detector, masked):
    result = detector.detect(masked)
    (face,) = result
    assert len(result) == 1 and result and result[0] == result[-1] == face == result[:][0]
    assert hash(face) == hash(result[0])
    with pytest.raises(IndexError):
        result[1]
    assert (result.width, result.height, result.image) == (512, 512, str(masked))
    assert result.boxes.dtype == np.float32 and result.boxes.shape == (1, 4)
    assert result.boxes[0].tolist() == list(face.bbox)
    assert result.confidences.tolist() == [face.confidence]
    assert result.labels == [face.label] == ["with_mask"]
    assert result.classes == detector.classes
    assert result.classes[result.class_ids[0]] == face.label
    assert result.probabilities.shape == (1, 3)
    assert dict(zip(result.classes, result.probabilities[0].tolist(), strict=True)) == face.probabilities
    assert face.label_probability == max(face.probabilities.values())
    assert abs(sum(face.probabilities.values()) - 1) < 1e-5
    assert result.to_dict()["faces"] == [face.to_dict()]
    assert face.to_dict()["box"]["x_min"] == face.bbox[0]
    assert "with_mask" in repr(result) and "with_mask" in repr(face)

    nothing = detector.detect(np.zeros((40, 30, 3), np.uint8))
    assert not nothing and len(nothing) == 0 and nothing.image is None
    assert nothing.boxes.shape == (0, 4) and nothing.probabilities.shape == (0, 3)


def test_records_make_a_table(detector, photos):
    results = detector.detect_batch(photos)
    table = pandas.DataFrame([row for result in results for row in result.to_records()])
    assert table.shape == (3, 9 + 3)
    assert sorted(table.label) == ["with_incorrect_mask", "with_mask", "without_mask"]
    assert (table[detector.classes].sum(axis=1) - 1).abs().max() < 1e-5


def test_drawing_marks_the_face_and_leaves_the_image(detector, masked):
    pixels = np.array(Image.open(masked))
    before, result = pixels.copy(), detector.detect(pixels)
    drawn = result.draw(pixels)
    assert drawn.shape == pixels.shape and (pixels == before).all()
    changed = np.argwhere((drawn != pixels).any(axis=2))
    x_min, y_min, x_max, y_max = result[0].bbox
    assert abs(changed[:, 0].max() - y_max) <= 1 and abs(changed[:, 1].min() - x_min) <= 1
    bgr = np.ascontiguousarray(pixels[..., ::-1])
    assert (result.draw(bgr, color="bgr")[..., ::-1] == drawn).all()
    assert (result.draw(pixels, labels="none", line_width=1) != pixels).sum() < (drawn != pixels).sum()
    inside = np.s_[int(y_min) + 9 : int(y_max) - 9, int(x_min) + 9 : int(x_max) - 9]
    assert (drawn[inside] == pixels[inside]).all()
    blurred = result.draw(pixels, blur=True)[inside]
    assert (
        np.abs(np.diff(blurred.astype(int), axis=1)).mean()
        < np.abs(np.diff(pixels[inside].astype(int), axis=1)).mean() / 2
    )
    # A file need not be given again.
    assert detector.detect(masked).draw().shape == pixels.shape
    with pytest.raises(ValueError, match="it is not kept"):
        result.draw()
    with pytest.raises(ValueError, match="were searched"):
        result.draw(pixels[:100])
    with pytest.raises(ValueError, match="'full', 'class' and 'none'"):
        result.draw(pixels, labels="some")


def test_notebooks_show_the_image_and_a_table(detector, masked):
    html = detector.detect(masked)._repr_html_()
    assert "data:image/jpeg;base64," in html and "<td>with_mask</td>" in html
    assert "<img" not in detector.detect(masked.read_bytes())._repr_html_()


def test_jpegs_can_be_read_by_others(masked):
    pixels = np.asarray(Image.open(masked))
    again = np.asarray(Image.open(io.BytesIO(mask_detector.encode_jpeg(pixels, quality=95))))
    assert np.abs(again.astype(int) - pixels).mean() < 3
    with pytest.raises(ValueError, match="1 to 100"):
        mask_detector.encode_jpeg(pixels, quality=0)


def test_people_are_followed(detector, masked):
    pixels = np.asarray(Image.open(masked))
    frames = [np.roll(pixels, 3 * number, axis=1) for number in range(12)]
    results = list(detector.track(frames, fps=10))
    assert all([face.track for face in result] == [1] for result in results)
    shift = results[-1].boxes[0, 0] - results[0].boxes[0, 0]
    assert abs(shift - 33) < 6
    tracker = detector.tracker(detect_every=2)
    for number, frame in enumerate(frames):
        tracker.update(frame, number / 10)
    assert tracker.people == {"with_incorrect_mask": 0, "with_mask": 1, "without_mask": 0}
    with pytest.raises(ValueError, match="do not go back"):
        tracker.update(frames[0], 0.0)
    with pytest.raises(ValueError, match="detect_every"):
        detector.tracker(detect_every=0)


def in_other_process(detector: Detector, path: str) -> str:
    return detector.detect(path).to_json()


@pytest.mark.parametrize("start", ["spawn", "fork"])
def test_other_processes_get_the_same(start, masked):
    # Of its own: what is forked must not depend on which tests ran before.
    detector = Detector(threads=2, min_confidence=0.5)
    expected = detector.detect(masked).to_json()
    with ProcessPoolExecutor(2, mp_context=get_context(start)) as pool:
        results = list(pool.map(in_other_process, [detector] * 4, [str(masked)] * 4, timeout=60))
    assert results == [expected] * 4


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_uses_what_it_was_given(masked):
    detector = Detector(threads=2)
    expected = detector.detect(masked).to_json()
    child = os.fork()
    if child == 0:
        os._exit(0 if detector.detect(masked).to_json() == expected else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_copies_have_the_settings(masked):
    detector = Detector(min_confidence=1.0)
    assert len(pickle.loads(pickle.dumps(detector)).detect(masked)) == 0


def test_eight_threads_get_what_one_gets(detector, photos):
    expected = {photo: detector.detect(photo).to_json() for photo in photos}
    begin = threading.Barrier(8)

    def work(number: int) -> int:
        begin.wait()
        for turn in range(12):
            photo = photos[(number + turn) % 3]
            if turn % 4 == 3:
                for photo, result in zip(photos, detector.detect_batch(photos), strict=True):
                    assert result.to_json() == expected[photo]
            assert detector.detect(photo).to_json() == expected[photo]
        return number

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(work, range(8))) == list(range(8))


def test_pythons_lock_is_free_meanwhile(detector, masked):
    """Another thread runs many times while an image is searched; with the lock held it could not once."""
    pixels = np.asarray(Image.open(masked).resize((4000, 4000)))
    ticks, done = 0, threading.Event()

    def count() -> None:
        nonlocal ticks
        while not done.wait(0.0005):
            ticks += 1

    thread = threading.Thread(target=count)
    thread.start()
    before = ticks
    detector.detect(pixels)
    counted = ticks - before
    done.set()
    thread.join()
    # A tick or two may come between the lines above.
    assert counted > 5


def test_the_program_of_the_package(masked, tmp_path):
    def run(*arguments):
        command = [sys.executable, "-m", "mask_detector", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True)

    done = run(masked, "--format", "ndjson", "--output", tmp_path / "drawn")
    assert done.returncode == 0 and json.loads(done.stdout)["faces"][0]["label"] == "with_mask"
    assert Image.open(tmp_path / "drawn" / "astronaut_masked.jpg.jpg").size == (512, 512)
    done = run(masked, tmp_path / "absent.jpg", "--format", "table")
    assert done.returncode == 1 and "1 face" in done.stdout and "absent.jpg" in done.stdout
    done = run(masked, "--device", "tpu")
    assert done.returncode == 2 and done.stderr.count("\n") == 1


def test_importing_needs_nothing_large():
    code = "import sys, mask_detector; print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not {"numpy", "pandas", "PIL", "cv2", "torch", "ray"} & set(output.stdout.split())
