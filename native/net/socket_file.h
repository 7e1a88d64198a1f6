// The file of a Unix socket that is bound to a path: which one it is, its mode, and its end.
#pragma once

#include <sys/stat.h>

#include <memory>
#include <string>

#include "core/address.h"
#include "core/layout.h"

namespace em {

// Of opening a socket; the error is 0 where all went well.
struct Failure {
  int32_t error = 0;
  Syscall syscall = Syscall::none;
};

class SocketFile {
 public:
  // Binds the socket to its path, and gives the file this mode, unless that is negative. Before that the file lets
  // nobody in who is not let in by the mode. `file` is set where the socket was bound.
  static Failure bind(int fd, const Address& address, const char* path, int32_t mode,
                      std::unique_ptr<SocketFile>* file);

  // `path` is absolute.
  explicit SocketFile(const char* path) : path_(path) {}

  // To be called when the socket was bound to the path: remembers what stands there. -EADDRINUSE where somebody has
  // put something else in its place already. The kernel has no name for the file of a bound socket that an ordinary
  // process may ask for: what is put there in between, a socket and of the same user, is taken for ours.
  int identify();

  // Gives the file that was identified this mode. Returns 0 or a negative errno.
  int set_mode(mode_t mode);

  // Removes the file, if it is still the one that was identified, and never another of that name; the socket has to be
  // open yet, which keeps the inode from being given out again. There is no compare-and-unlink: what takes the name
  // between the two is removed. Only once, and nobody is told of a failure.
  void remove();

 private:
  std::string path_;
  bool known_ = false;
  dev_t device_ = 0;
  ino_t inode_ = 0;
  uid_t owner_ = 0;

  bool is_ours(const struct stat& found) const;
};

}  // namespace em
