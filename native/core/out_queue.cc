#include "core/out_queue.h"

#include <stdlib.h>
#include <string.h>

#include <algorithm>

namespace em {

namespace {
constexpr size_t kSmallest = 4096 - sizeof(Chunk);
constexpr size_t kLargest = 64 * 1024 - sizeof(Chunk);
}  // namespace

Chunk* OutQueue::push(size_t capacity, Live& live) {
  auto* chunk = static_cast<Chunk*>(malloc(sizeof(Chunk) + capacity));
  if (chunk == nullptr) abort();  // as Node does when memory is out
  *chunk = {nullptr, 0, 0, static_cast<uint32_t>(capacity), -1, 0, 0};
  if (tail_ == nullptr) {
    head_ = chunk;
  } else {
    tail_->next = chunk;
  }
  tail_ = chunk;
  live.chunks++;
  return chunk;
}

void OutQueue::append(const void* data, size_t length, Live& live) {
  auto* from = static_cast<const uint8_t*>(data);
  while (length > 0) {
    Chunk* chunk = tail_;
    if (chunk == nullptr || chunk->file >= 0 || chunk->end == chunk->capacity) {
      // A queue that has filled a chunk before will fill the next one too.
      size_t least = chunk == nullptr ? kSmallest : std::min(kLargest, size_t{chunk->capacity} * 2);
      chunk = push(std::clamp(length, std::max(least, kSmallest), kLargest), live);
    }
    size_t part = std::min(length, size_t{chunk->capacity - chunk->end});
    memcpy(chunk->bytes() + chunk->end, from, part);
    chunk->end += static_cast<uint32_t>(part);
    from += part;
    length -= part;
  }
}

void OutQueue::append_file(int fd, int64_t offset, int64_t length, Live& live) {
  Chunk* chunk = push(0, live);
  chunk->file = fd;
  chunk->offset = offset;
  chunk->left = length;
}

size_t OutQueue::gather(iovec* to, size_t most) {
  size_t count = 0;
  for (Chunk* chunk = head_; chunk != nullptr && chunk->file < 0 && count < most; chunk = chunk->next) {
    to[count++] = {chunk->bytes() + chunk->start, chunk->end - chunk->start};
  }
  return count;
}

void OutQueue::consume(size_t length, Live& live) {
  while (length > 0) {
    size_t part = std::min(length, size_t{head_->end - head_->start});
    head_->start += static_cast<uint32_t>(part);
    length -= part;
    if (head_->start == head_->end) drop_front(live);
  }
}

void OutQueue::drop_front(Live& live) {
  Chunk* chunk = head_;
  head_ = chunk->next;
  if (head_ == nullptr) tail_ = nullptr;
  free(chunk);
  live.chunks--;
}

void OutQueue::clear(Live& live) {
  while (head_ != nullptr) drop_front(live);
}

}  // namespace em
