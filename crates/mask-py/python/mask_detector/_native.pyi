"""What the compiled part of the package offers."""

import os
from collections.abc import Iterable, Iterator
from typing import Any, Literal, Protocol, TypeAlias, final, overload

import numpy as np
from numpy.typing import NDArray

__version__: str

Color: TypeAlias = Literal["rgb", "bgr"]

class _Array(Protocol):
    @property
    def __array_interface__(self) -> dict[str, Any]: ...

#: A path, the bytes of an image file, an array, or what says that it is one, such as an image of PIL.
ImageLike: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | NDArray[np.uint8] | _Array

@final
class Face:
    """A face that was found, and its class."""

    @property
    def bbox(self) -> tuple[float, float, float, float]:
        """Its box, in pixels: ``(x_min, y_min, x_max, y_max)``."""
    @property
    def confidence(self) -> float:
        """The probability that it is a face, in [0, 1]."""
    @property
    def label(self) -> str:
        """The most probable class."""
    @property
    def label_probability(self) -> float:
        """The probability of the most probable class, in [0, 1]."""
    @property
    def probabilities(self) -> dict[str, float]:
        """Every class with its probability, in [0, 1]."""
    @property
    def track(self) -> int | None:
        """The number of its track, where it is followed over frames."""
    def to_dict(self) -> dict[str, Any]:
        """As a ``dict``, in the schema of the program's NDJSON."""
    def __eq__(self, other: object) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Detections:
    """The faces of an image, highest confidence first: a sequence of ``Face``."""

    @property
    def image(self) -> str | None:
        """The path of the image, if it is a file."""
    @property
    def width(self) -> int:
        """Width of the upright image in pixels."""
    @property
    def height(self) -> int:
        """Height of the upright image in pixels."""
    @property
    def warning(self) -> str | None:
        """What was wrong with the file and was repaired."""
    @property
    def classes(self) -> list[str]:
        """Names of the classes, in the order of ``probabilities`` and ``class_ids``."""
    @property
    def boxes(self) -> NDArray[np.float32]:
        """The boxes in pixels, x_min, y_min, x_max and y_max: (faces, 4)."""
    @property
    def confidences(self) -> NDArray[np.float32]:
        """The probability of each that it is a face: (faces,)."""
    @property
    def probabilities(self) -> NDArray[np.float32]:
        """The probabilities of the classes: (faces, classes)."""
    @property
    def class_ids(self) -> NDArray[np.int64]:
        """The number of each one's class in ``classes``: (faces,)."""
    @property
    def labels(self) -> list[str]:
        """The name of each one's class."""
    def to_dict(self) -> dict[str, Any]:
        """As a ``dict``, in the schema of the program's NDJSON."""
    def to_json(self) -> str:
        """As a line of the program's NDJSON."""
    def to_records(self) -> list[dict[str, Any]]:
        """A flat ``dict`` for each face, for ``pandas.DataFrame``."""
    def draw(
        self,
        image: ImageLike | None = None,
        *,
        color: Color = "rgb",
        labels: Literal["full", "class", "none"] = "full",
        line_width: int | None = None,
        blur: bool = False,
    ) -> NDArray[np.uint8]:
        """The image with boxes and labels: (height, width, 3), channels in the order of ``color``.

        ``image`` is what was searched; it can be left out where that is a file. ``blur`` makes the faces
        unrecognisable, the unsure ones too.
        """
    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, index: int) -> Face: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Face, ...]: ...
    def __iter__(self) -> Iterator[Face]: ...
    def _repr_html_(self) -> str: ...

@final
class Tracker:
    """Follows people from frame to frame; made by ``Detector.tracker``."""

    def update(self, frame: ImageLike, time: float | None = None, *, color: Color = "rgb") -> Detections:
        """The people in the next frame, with the numbers of their tracks.

        ``time`` is in seconds and must not go back; without it, a frame is of now.
        """
    @property
    def people(self) -> dict[str, int]:
        """How many different people there were so far, by the last label of each."""

@final
class Detector:
    """Finds faces and their classes. May be shared between threads, and sent to other processes."""

    def __new__(
        cls,
        *,
        device: str = "auto",
        threads: int | None = None,
        min_confidence: float | None = None,
        max_iou: float | None = None,
        max_overlap: float | None = None,
        input_size: str | None = None,
        tiles: int | None = None,
        precision: Literal["f32", "int8"] | None = None,
        face_weights: str | os.PathLike[str] | None = None,
        head: str | os.PathLike[str] | None = None,
        max_megapixels: int | None = None,
        strict: bool = False,
    ) -> Detector:
        """Loads both networks.

        ``device`` is ``auto``, ``cpu``, ``gpu`` or ``gpu:N``. ``threads`` share the work of all calls, as many
        as there are cores if none are given. The other arguments are those of ``mask-cli detect``, with its
        defaults.
        """
    @property
    def classes(self) -> list[str]:
        """Names of the classes, in the order of the probabilities."""
    @property
    def device(self) -> str:
        """What it runs on: ``CPU``, or a GPU's name."""
    def detect(self, image: ImageLike, *, color: Color = "rgb") -> Detections:
        """The faces in an image: a path, the bytes of an image file, an array or an image of PIL.

        Arrays are uint8, (height, width) or (height, width, channels) with 1, 3 or 4 channels in the order of
        ``color``. They are not copied where their pixels lie without gaps, and must not be written meanwhile.
        """
    @overload
    def detect_batch(
        self, images: Iterable[ImageLike], *, color: Color = "rgb", errors: Literal["raise"] = "raise"
    ) -> list[Detections]: ...
    @overload
    def detect_batch(
        self, images: Iterable[ImageLike], *, color: Color = "rgb", errors: Literal["return"]
    ) -> list[Detections | Exception]:
        """The faces in each of some images, each on a thread of its own.

        Where an image cannot be used, its error is raised; with ``errors="return"`` it stands in the image's
        place instead.
        """
    def tracker(self, *, detect_every: int = 1) -> Tracker:
        """What follows people over the frames of a video or a camera.

        Faces are looked for in every ``detect_every``-th frame, and predicted between.
        """
    def track(
        self,
        frames: Iterable[ImageLike],
        *,
        fps: float | None = None,
        detect_every: int = 1,
        color: Color = "rgb",
    ) -> Iterator[Detections]:
        """The people in each frame, with the numbers of their tracks.

        ``fps`` frames are a second; without it, each is of the time at which it comes.
        """

def encode_jpeg(image: ImageLike, *, color: Color = "rgb", quality: int = 92) -> bytes:
    """The bytes of a JPEG file of an array's pixels. ``quality`` is 1 to 100."""

def is_image_name(path: str | os.PathLike[str]) -> bool:
    """Whether a file's name is one of an image that can be decoded."""
