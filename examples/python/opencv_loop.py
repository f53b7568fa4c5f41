"""A camera with OpenCV: the newest frame with its people, until q is pressed."""

import sys

import cv2
from mask_detector import Detector


def main(source: str = "0") -> None:
    camera = cv2.VideoCapture(int(source) if source.isdigit() else source)
    if not camera.isOpened():
        sys.exit(f"{source}: cannot be opened")
    tracker = Detector().tracker()
    while True:
        arrived, frame = camera.read()
        if not arrived:
            break
        people = tracker.update(frame, color="bgr")
        cv2.imshow("masks", people.draw(frame, color="bgr"))
        if cv2.waitKey(1) == ord("q"):
            break
    print(tracker.people)


if __name__ == "__main__":
    main(*sys.argv[1:])
