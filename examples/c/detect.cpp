// The faces in image files as lines of JSON, by eight threads that share a detector: detect PHOTO...

#include <atomic>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "mask_detector.h"

namespace {

struct Free {
    void operator()(MaskDetector *detector) const { mask_detector_free(detector); }
    void operator()(MaskDetections *detections) const { mask_detections_free(detections); }
};

std::unique_ptr<MaskDetector, Free> load(const MaskOptions &options) {
    MaskDetector *detector = nullptr;
    if (mask_detector_new(&options, &detector) != MASK_STATUS_OK) {
        throw std::runtime_error(mask_last_error());
    }
    return std::unique_ptr<MaskDetector, Free>(detector);
}

std::string detect(const MaskDetector &detector, const char *path) {
    MaskDetections *found = nullptr;
    if (mask_detector_detect_file(&detector, path, &found) != MASK_STATUS_OK) {
        throw std::runtime_error(mask_last_error());
    }
    std::unique_ptr<MaskDetections, Free> detections(found);
    return mask_detections_json(detections.get());
}

}  // namespace

int main(int count, char **arguments) try {
    const auto detector = load(mask_options());
    std::vector<std::string> lines(count);
    std::atomic<int> next{1}, failed{0};
    std::vector<std::thread> threads;
    for (int number = 0; number < 8; number++) {
        threads.emplace_back([&] {
            for (int at = next++; at < count; at = next++) {
                try {
                    lines[at] = detect(*detector, arguments[at]);
                } catch (const std::exception &error) {
                    lines[at] = error.what();
                    failed = 1;
                }
            }
        });
    }
    for (auto &thread : threads) {
        thread.join();
    }
    for (int at = 1; at < count; at++) {
        std::cout << lines[at] << '\n';
    }
    return failed;
} catch (const std::exception &error) {
    std::cerr << error.what() << '\n';
    return 2;
}
