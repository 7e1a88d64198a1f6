// What the kernel would not take yet of one connection: bytes, and ranges of files, in order.
//
// Small appends share a chunk, so that a program sending single bytes to a peer that does not read costs little more
// than those bytes; large ones are split, so that memory goes as the peer reads.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

#include "core/live.h"

namespace em {

struct Chunk {
  Chunk* next;
  uint32_t start, end, capacity;  // of the bytes behind this header
  int file;                       // -1: bytes
  int64_t offset, left;           // of the file

  uint8_t* bytes() { return reinterpret_cast<uint8_t*>(this + 1); }
};

class OutQueue {
 public:
  bool empty() const { return head_ == nullptr; }
  // The file range at the front; null where bytes are.
  Chunk* front_file() { return head_ != nullptr && head_->file >= 0 ? head_ : nullptr; }

  void append(const void* data, size_t length, Live& live);
  void append_file(int fd, int64_t offset, int64_t length, Live& live);
  // Fills in the bytes at the front, up to the next file; returns the number of entries.
  size_t gather(iovec* to, size_t most);
  void consume(size_t length, Live& live);
  void drop_front(Live& live);
  void clear(Live& live);

 private:
  Chunk* push(size_t capacity, Live& live);

  Chunk* head_ = nullptr;
  Chunk* tail_ = nullptr;
};

}  // namespace em
