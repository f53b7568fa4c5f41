"""The exceptions of this package. A file that is absent is a ``FileNotFoundError``, as elsewhere."""


class DetectorError(Exception):
    """A device, weights or a network cannot be used."""


class ImageError(ValueError):
    """The content of a file or of bytes is no image, or a damaged or too large one."""
