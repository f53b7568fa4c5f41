/* The faces in image files: detect PHOTO... */

#include <stdio.h>

#include "mask_detector.h"

int main(int count, char **arguments) {
    MaskOptions options = mask_options();
    MaskDetector *detector = NULL;
    if (mask_detector_new(&options, &detector) != MASK_STATUS_OK) {
        fprintf(stderr, "%s\n", mask_last_error());
        return 2;
    }
    int failed = 0;
    for (int at = 1; at < count; at++) {
        MaskDetections *detections = NULL;
        if (mask_detector_detect_file(detector, arguments[at], &detections) != MASK_STATUS_OK) {
            fprintf(stderr, "%s\n", mask_last_error());
            failed = 1;
            continue;
        }
        const MaskFace *faces = mask_detections_faces(detections);
        for (size_t face = 0; face < mask_detections_count(detections); face++) {
            printf("%s: %s %.1f %%, %.0f x %.0f at %.0f, %.0f\n", arguments[at],
                   mask_detector_class_name(detector, faces[face].class_index),
                   100 * faces[face].class_probability, faces[face].x_max - faces[face].x_min,
                   faces[face].y_max - faces[face].y_min, faces[face].x_min, faces[face].y_min);
        }
        mask_detections_free(detections);
    }
    mask_detector_free(detector);
    return failed;
}
