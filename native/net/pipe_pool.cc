#include "net/pipe_pool.h"

#include <fcntl.h>
#include <unistd.h>

namespace em {

PipePool::~PipePool() {
  while (!idle_.empty()) {
    discard(idle_.back());
    idle_.pop_back();
  }
}

Pipe PipePool::take() {
  if (!idle_.empty()) {
    Pipe pipe = idle_.back();
    idle_.pop_back();
    return pipe;
  }
  int ends[2];
  if (count_ == kMostPipes || pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return {};
  count_++;
  live_.descriptors += 2;
  const int size = fcntl(ends[0], F_GETPIPE_SZ);
  Pipe pipe = {ends[0], ends[1], size < 0 ? 0 : static_cast<uint32_t>(size)};
  if (pipe.size >= kLeastSize) return pipe;
  discard(pipe);
  return {};
}

void PipePool::give_back(Pipe pipe) {
  if (idle_.size() == kMostIdle) return discard(pipe);
  idle_.push_back(pipe);
}

void PipePool::discard(Pipe pipe) {
  close(pipe.read_end);
  close(pipe.write_end);
  count_--;
  live_.descriptors -= 2;
}

}  // namespace em
