// Finds the faces in images and says for each whether it wears a mask.
//
// Made by `cargo test -p mask-c`, which says how, from crates/mask-c/src.

#ifndef MASK_DETECTOR_H
#define MASK_DETECTOR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

// How a call went. `mask_last_error` has the words.
typedef enum {
  // It was done.
  MASK_STATUS_OK = 0,
  // An argument is not what it must be: a null pointer, text that is not UTF-8, no such device or size.
  MASK_STATUS_INVALID_ARGUMENT = 1,
  // A file or an encoded image cannot be read, or is no image.
  MASK_STATUS_IMAGE = 2,
  // A device, weights or a network cannot be used.
  MASK_STATUS_DETECTOR = 3,
  // A fault of this library.
  MASK_STATUS_INTERNAL = 4,
} MaskStatus;

// Order of the bytes of a pixel.
typedef enum {
  // Red, green, blue.
  MASK_PIXEL_FORMAT_RGB = 0,
  // Blue, green, red, as OpenCV has them.
  MASK_PIXEL_FORMAT_BGR = 1,
  // Red, green, blue, alpha, which is ignored.
  MASK_PIXEL_FORMAT_RGBA = 2,
  // Blue, green, red, alpha, which is ignored.
  MASK_PIXEL_FORMAT_BGRA = 3,
  // A single grey value.
  MASK_PIXEL_FORMAT_GREY = 4,
} MaskPixelFormat;

// The faces of an image, highest confidence first.
typedef struct MaskDetections MaskDetections;

// Finds faces and their classes.
typedef struct MaskDetector MaskDetector;

// Settings of a detector, of which `mask_options` makes the defaults. Texts are UTF-8, and read only by
// `mask_detector_new`.
typedef struct {
  // `auto`, `cpu`, `gpu` or `gpu:N`; null: `auto`.
  const char *device;
  // Threads that all calls share; 0: as many as there are cores.
  uint32_t threads;
  // Least probability that what is reported is a face, in [0, 1].
  float min_confidence;
  // Size at which images enter the face network, such as `long:640` or `300x300`; null: the default.
  const char *input_size;
  // The face network's weights, a file; null: those of this library.
  const char *face_weights;
  // The classifier's head, a file; null: that of this library.
  const char *head;
} MaskOptions;

// A face.
typedef struct {
  // Left side of its box, in pixels.
  float x_min;
  // Upper side of its box, in pixels.
  float y_min;
  // Right side of its box, in pixels.
  float x_max;
  // Lower side of its box, in pixels.
  float y_max;
  // The probability that it is a face, in [0, 1].
  float confidence;
  // The most probable class, a number for `mask_detector_class_name`.
  uint32_t class_index;
  // The probability of that class, in [0, 1].
  float class_probability;
} MaskFace;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Why the last call of this thread failed, in one line of UTF-8; empty if it did not. It is there until the thread's
// next call that returns a status.
const char *mask_last_error(void);

// The defaults.
MaskOptions mask_options(void);

// Width of the upright image in pixels; 0 for null.
//
// # Safety
// `detections` must be null or of this library, and not freed.
uint32_t mask_detections_width(const MaskDetections *detections);

// Height of the upright image in pixels; 0 for null.
//
// # Safety
// As for `mask_detections_width`.
uint32_t mask_detections_height(const MaskDetections *detections);

// How many faces there are; 0 for null.
//
// # Safety
// As for `mask_detections_width`.
size_t mask_detections_count(const MaskDetections *detections);

// The faces, `mask_detections_count` of them, there as long as `detections`; null for null.
//
// # Safety
// As for `mask_detections_width`.
const MaskFace *mask_detections_faces(const MaskDetections *detections);

// The probabilities of the classes of a face, `mask_detector_class_count` of them, there as long as `detections`;
// null if there is no such face.
//
// # Safety
// As for `mask_detections_width`.
const float *mask_detections_probabilities(const MaskDetections *detections,
                                           size_t face);

// All of it as a line of JSON, as `mask-cli detect --format ndjson` writes it, there as long as `detections`; null
// for null.
//
// # Safety
// As for `mask_detections_width`.
const char *mask_detections_json(const MaskDetections *detections);

// Frees what a `mask_detector_detect_...` made; null is nothing.
//
// # Safety
// As for `mask_detections_width`; it must not be used afterwards.
void mask_detections_free(MaskDetections *detections);

// Loads both networks. `options` may be null, for the defaults. `mask_detector_free` frees `*detector`.
//
// # Safety
// `options` must be null or point to options, whose texts end with a zero byte; `detector` must be null or writable.
MaskStatus mask_detector_new(const MaskOptions *options,
                             MaskDetector **detector);

// Frees a detector; null is nothing.
//
// # Safety
// `detector` must be null or of `mask_detector_new`, in no call, and not be used afterwards.
void mask_detector_free(MaskDetector *detector);

// How many classes there are; 0 for null.
//
// # Safety
// `detector` must be null or of `mask_detector_new`, and not freed; so everywhere below.
size_t mask_detector_class_count(const MaskDetector *detector);

// The name of a class, there as long as `detector`; null if there is no such class.
//
// # Safety
// As for `mask_detector_class_count`.
const char *mask_detector_class_name(const MaskDetector *detector, size_t class_index);

// The faces in an image file: JPEG, PNG, WebP and others, known by their content. `path` is UTF-8.
// `mask_detections_free` frees `*detections`.
//
// # Safety
// `path` must be null or end with a zero byte; `detections` must be null or writable.
MaskStatus mask_detector_detect_file(const MaskDetector *detector,
                                     const char *path,
                                     MaskDetections **detections);

// The faces in the bytes of an image file. `mask_detections_free` frees `*detections`.
//
// # Safety
// `bytes` must be null or point to `length` bytes; `detections` must be null or writable.
MaskStatus mask_detector_detect_encoded(const MaskDetector *detector,
                                        const uint8_t *bytes,
                                        size_t length,
                                        MaskDetections **detections);

// The faces in pixels of 8 bits per channel, row after row from the top, `stride` bytes from the beginning of one to
// that of the next; `format` is a `MaskPixelFormat`. They are not copied as a whole. `mask_detections_free` frees
// `*detections`.
//
// # Safety
// `pixels` must be null or point to `stride * (height - 1)` bytes and those of the last row, which nobody may write
// meanwhile; `detections` must be null or writable.
MaskStatus mask_detector_detect_pixels(const MaskDetector *detector,
                                       const uint8_t *pixels,
                                       uint32_t width,
                                       uint32_t height,
                                       size_t stride,
                                       uint32_t format,
                                       MaskDetections **detections);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* MASK_DETECTOR_H */
