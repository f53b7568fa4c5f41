"""The detector in Ray Data, for images by the million.

``detect_images`` takes images from any file system and writes Parquet files, each image exactly once, whatever is
killed and begun again meanwhile. ``DetectImages`` is the same work as a stage of a pipeline of your own::

    images = ray.data.read_binary_files("s3://bucket/photos", include_paths=True)
    pool = ray.data.ActorPoolStrategy(size=8)
    images.map_batches(DetectImages, batch_format="pyarrow", compute=pool).write_parquet("s3://bucket/faces")
"""

from .job import Summary, detect_images
from .stage import DetectImages

__all__ = ["DetectImages", "Summary", "detect_images"]
