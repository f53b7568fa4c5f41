"""Finds the faces in images and says for each whether it wears a mask.

>>> from mask_detector import Detector
>>> detector = Detector()
>>> for face in detector.detect("photo.jpg"):  # doctest: +SKIP
...     print(face.bbox, face.label, face.label_probability)

Everything runs in this process and without Python's lock; the networks' weights are in the package.
"""

from ._native import Detections, Detector, Face, Tracker, __version__, encode_jpeg
from .errors import DetectorError, ImageError

__all__ = [
    "Detections",
    "Detector",
    "DetectorError",
    "Face",
    "ImageError",
    "Tracker",
    "__version__",
    "encode_jpeg",
]
