// Who owns a descriptor: one table for the process, so that no two connections or listeners ever have the same one,
// whichever reactors and threads they belong to.
//
// What the kernel makes for us is noted without a lock or a system call: an entry of its own for each number. Only
// attaching a descriptor from outside asks further. A number that an entry names may have been closed behind our back
// and be another socket's by now: the entry holds where the owner's poller knows the descriptor, or, for one it does
// not know at the moment, where device and inode are those on record.
//
// This is all that the addon keeps beside what belongs to one environment; it goes with the last reactor.
#pragma once

#include <cstdint>

#include "poll/poller.h"

namespace em {

// The part of one reactor in the table.
class Descriptors {
 public:
  explicit Descriptors(Poller& poller);
  ~Descriptors();
  Descriptors(const Descriptors&) = delete;
  Descriptors& operator=(const Descriptors&) = delete;

  // A descriptor the kernel has just made, which the poller knows. False where there is no memory for the entry, or
  // somebody has attached the number in between: it is not ours to close then.
  bool take(int fd, int32_t handle) { return enter(fd, token(handle)); }
  // The same before the poller knows it: `polled` or `keep` must follow.
  bool take_new(int fd, int32_t handle) { return enter(fd, token(handle) | kNew); }
  void polled(int fd, int32_t handle);
  // Puts device and inode on record, because the poller is about to forget the descriptor.
  void keep(int fd, int32_t handle);
  // A descriptor from outside. 0, or a negative errno: -EEXIST where a reactor owns it. It is on record then.
  int claim(int fd, int32_t handle);

  // What was claimed is with the poller from here on, until it is released: no record of it is needed.
  void claim_polled(int fd, int32_t handle);

  // Whether the number still stands for what this handle took.
  bool owns(int fd, int32_t handle);
  // `kept`: it is on record. A descriptor that is to be closed is closed before.
  void release(int fd, int32_t handle, bool kept);

 private:
  static constexpr uint64_t kNew = uint64_t{1} << 31;

  uint64_t token(int32_t handle) const { return uint64_t{number_} << 32 | static_cast<uint32_t>(handle); }
  bool enter(int fd, uint64_t token);
  static bool holds(uint64_t token, int fd);

  Poller& poller_;
  uint32_t number_ = 0;
};

}  // namespace em
