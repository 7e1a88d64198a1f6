#include "net/socket_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

namespace em {

bool SocketFile::is_ours(const struct stat& found) const {
  return found.st_dev == device_ && found.st_ino == inode_ && found.st_uid == owner_;
}

Failure SocketFile::bind(int fd, const Address& address, const char* path, int32_t mode,
                         std::unique_ptr<SocketFile>* file) {
  // The kernel makes the file with this mode, less what the umask takes away.
  if (mode >= 0 && fchmod(fd, static_cast<mode_t>(mode)) < 0) return {-errno, Syscall::fchmod};
  if (::bind(fd, &address.any, address.length) < 0) return {-errno, Syscall::bind};
  *file = std::make_unique<SocketFile>(path);
  if (int error = (*file)->identify(); error != 0) return {error, Syscall::bind};
  if (mode < 0) return {};
  if (int error = (*file)->set_mode(static_cast<mode_t>(mode)); error != 0) return {error, Syscall::chmod};
  return {};
}

int SocketFile::identify() {
  struct stat found;
  if (lstat(path_.c_str(), &found) < 0) return errno == ENOENT ? -EADDRINUSE : -errno;
  if (!S_ISSOCK(found.st_mode) || found.st_uid != geteuid()) return -EADDRINUSE;
  device_ = found.st_dev;
  inode_ = found.st_ino;
  owner_ = found.st_uid;
  known_ = true;
  return 0;
}

int SocketFile::set_mode(mode_t mode) {
  // By a descriptor, so that no link that takes the name meanwhile is followed. O_PATH opens a socket's file too, and
  // fchmod refuses such a descriptor, but not its name under /proc.
  int fd = open(path_.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return -errno;
  struct stat found;
  int error = 0;
  if (fstat(fd, &found) < 0) {
    error = -errno;
  } else if (!is_ours(found)) {
    error = -EADDRINUSE;
  } else if ((found.st_mode & 0777) != mode) {
    char name[40];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    if (chmod(name, mode) < 0) error = -errno;
  }
  close(fd);
  return error;
}

void SocketFile::remove() {
  struct stat found;
  if (known_ && lstat(path_.c_str(), &found) == 0 && is_ours(found)) unlink(path_.c_str());
  known_ = false;
}

}  // namespace em
