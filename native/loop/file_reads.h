// Reading files for connections that cannot leave it to the kernel: on libuv's worker threads, a part at a time, so
// that a slow disk holds nobody up but the connection that waits for it.
#pragma once

#include <uv.h>

#include "core/core.h"

namespace em {

class FileReads final : public FileReader {
 public:
  // `done` is called when the last read has ended after `stop`.
  FileReads(uv_loop_t* uv, Core& core, void (*done)(void*), void* argument)
      : uv_(uv), core_(core), done_(done), argument_(argument) {}

  void read(int32_t handle, int fd, int64_t offset, size_t length) override;
  // Whoever asked is told of nothing more. Returns whether reads are under way still.
  bool stop();

 private:
  struct Job;
  static void work(uv_work_t* request);
  static void after(uv_work_t* request, int status);

  uv_loop_t* uv_;
  Core& core_;
  void (*done_)(void*);
  void* argument_;
  size_t under_way_ = 0;
  bool stopped_ = false;
};

}  // namespace em
