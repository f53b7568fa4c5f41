"""A service as it is usually written in Python, to measure mask-cli's beside it.

    MODEL=rfb640_masked.onnx uvicorn peer_server:app --port 8092 --log-level warning

FastAPI and uvicorn, around Linzaer's Ultra-Light-Fast detector of masked faces (RFB-640, MIT) in onnxruntime: one small
network of 640 x 480 for faces and masks. Needs fastapi, uvicorn, onnxruntime, numpy and pillow.
"""

import io
import os

import numpy
import onnxruntime
from fastapi import FastAPI, Request
from PIL import Image, ImageOps
from starlette.concurrency import run_in_threadpool

app = FastAPI()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(os.environ.get("THREADS", "2"))
session = onnxruntime.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])


def suppress(boxes, scores, most):
    kept, order = [], numpy.argsort(-scores)
    while len(order):
        kept.append(order[0])
        first, rest = boxes[order[0]], boxes[order[1:]]
        sides = numpy.minimum(first[2:], rest[:, 2:]) - numpy.maximum(first[:2], rest[:, :2])
        common = sides.clip(0).prod(1)
        areas = (rest[:, 2:] - rest[:, :2]).prod(1) + (first[2:] - first[:2]).prod()
        order = order[1:][common / (areas - common) <= most]
    return kept


def detect(body):
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(body))).convert("RGB")
    pixels = numpy.asarray(image.resize((640, 480), Image.BILINEAR), numpy.float32)
    planes = ((pixels - 127) / 128).transpose(2, 0, 1)[None]
    probabilities, boxes = (output[0] for output in session.run(None, {"input": planes}))
    scores = probabilities[:, 1:].sum(1)
    chosen = scores > 0.65
    boxes, scores, classes = boxes[chosen] * (image.size * 2), scores[chosen], probabilities[chosen, 1:]
    faces = [
        {
            "box": dict(zip(("x_min", "y_min", "x_max", "y_max"), map(float, boxes[at]))),
            "confidence": float(scores[at]),
            "label": ("without_mask", "with_mask")[int(classes[at].argmax())],
        }
        for at in suppress(boxes, scores, 0.4)
    ]
    return {"width": image.size[0], "height": image.size[1], "faces": faces}


@app.post("/v1/detect")
async def answer(request: Request):
    return await run_in_threadpool(detect, await request.body())
