// Pipes to splice through. They are pooled, for making one costs as much as splicing a few times, and bounded: an
// unprivileged user may have 16,384 pages in pipes, and the kernel makes smaller ones of those that come after.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/live.h"

namespace em {

struct Pipe {
  int read_end = -1, write_end = -1;
  uint32_t size = 0;  // bytes it holds, at the most
  explicit operator bool() const { return read_end >= 0; }
};

class PipePool {
 public:
  explicit PipePool(Live& live) : live_(live) {}
  ~PipePool();
  PipePool(const PipePool&) = delete;
  PipePool& operator=(const PipePool&) = delete;

  // None where there are as many as may be, or where the kernel gives none that is large enough to be worth it.
  Pipe take();
  // Gives back one that is empty. Some are kept.
  void give_back(Pipe pipe);
  // Closes one that is not.
  void discard(Pipe pipe);

 private:
  static constexpr uint32_t kMostPipes = 256;
  static constexpr size_t kMostIdle = 16;
  static constexpr uint32_t kLeastSize = 64 * 1024;

  Live& live_;
  std::vector<Pipe> idle_;
  uint32_t count_ = 0;
};

}  // namespace em
