// The socket of a slot, a listener's and a connection's alike: how the slot comes to have it, sets its options, and
// gives it up. A descriptor is recorded in core/descriptors.h from the moment it is taken until it is given up.
#pragma once

#include "core/core.h"

namespace em {

struct SocketOption {
  int32_t level, name, value;
};

struct OptionList {
  const SocketOption* first = nullptr;
  size_t count = 0;
};

// Each returns 0 or a negative errno.
int set_option(int fd, int level, int name, int value);
// Sets options one by one. TCP's own are skipped on other sockets.
int apply_options(int fd, bool internet, const OptionList& options);

// SO_ERROR, negative; asking clears it.
int socket_error(int fd);

// What a descriptor from outside is: an error, where it is no stream socket, and no file that can be waited for. It is
// left open then only if it belongs to another handle already, or is no socket at all, for it may belong to somebody
// else.
struct Adopted {
  int error = 0;
  Syscall syscall = Syscall::none;
  bool internet = false;
  bool file = false;
};
// `files`: also pipes, terminals and devices, and one end of them alone.
enum class Accepts { sockets, files };
// Gives it to the slot, where there is no error.
Adopted adopt_descriptor(Core& core, Slot& slot, int fd, Accepts accepts);

// Gives a descriptor the kernel has just made to the slot. Where this fails it is not ours.
bool take_descriptor(Core& core, Slot& slot, int fd);
// Puts it on record as long as the poller does not know it.
void keep_descriptor(Core& core, Slot& slot);
// Takes it, registered as it is, from the poller.
void leave_poller(Core& core, Slot& slot);
// Keeps the addresses of both sides, which `closed` may be asked about when the descriptor is closed.
void save_addresses(Slot& slot);
// The poller does not take the descriptor, and the caller is about to close the slot. Where that is for another handle
// having the descriptor, it is that one's to close.
void not_polled(Core& core, Slot& slot, int error);
// Closes it.
void drop_descriptor(Core& core, Slot& slot);
// Takes it out of the slot, open as it is, for another owner.
int give_up_descriptor(Core& core, Slot& slot);

}  // namespace em
