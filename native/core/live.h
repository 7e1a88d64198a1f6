// What the core holds at the moment: the tests read it through `liveCounts()` and want zeros when all is torn down.
// (LeakSanitizer cannot say it: it reports Node's own leaks.)
#pragma once

#include <atomic>
#include <cstdint>

namespace em {

// Shared by everything one environment made, and outliving each of them: memory lent to JavaScript is given back last.
class Live {
 public:
  std::atomic<int64_t> loops = 0, handles = 0, descriptors = 0, chunks = 0, unread = 0, regions = 0, tls = 0,
                       tls_contexts = 0, file_reads = 0;

  void retain() { references_.fetch_add(1, std::memory_order_relaxed); }
  void release() {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

 private:
  std::atomic<int> references_ = 1;
};

}  // namespace em
