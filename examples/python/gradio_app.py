"""A page to try photographs on: python gradio_app.py"""

import gradio
from mask_detector import Detector

detector = Detector()


def detect(image):
    if image is None:
        return None, []
    result = detector.detect(image)
    rows = [[face.label, f"{face.label_probability:.3f}", f"{face.confidence:.3f}"] for face in result]
    return result.draw(image), rows


page = gradio.Interface(
    detect,
    inputs=gradio.Image(type="numpy"),
    outputs=[gradio.Image(), gradio.Dataframe(headers=["label", "probability", "face"])],
    title="Masks",
)

if __name__ == "__main__":
    page.launch()
