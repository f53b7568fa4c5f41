"""The detector in a service of your own: uvicorn fastapi_app:app

curl -F image=@photo.jpg localhost:8000/detect
"""

from typing import Any

from fastapi import FastAPI, HTTPException, UploadFile
from fastapi.concurrency import run_in_threadpool
from mask_detector import Detector, ImageError

app = FastAPI()
detector = Detector()


@app.post("/detect")
async def detect(image: UploadFile) -> dict[str, Any]:
    try:
        # Python's lock is free meanwhile, so that other requests go on.
        result = await run_in_threadpool(detector.detect, await image.read())
    except ImageError as error:
        raise HTTPException(422, str(error)) from error
    return result.to_dict() | {"image": image.filename}
