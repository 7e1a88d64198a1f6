// What differs between one kind of connection and another: in clear, over sockets and over files (plain.cc), and under
// TLS (tls/tls_stream.cc).
//
// Everything else about a connection is the same for all of them and stands once: its commands in stream.cc, what moves
// its bytes in stream_io.cc, its ends in stream_ends.cc. None of these asks what kind it has before it; they call the
// table. A kind that is added (a relay by `splice`) is one more table, and one more line in `ops`.
//
// Any call that takes the core may close the connection: whoever goes on afterwards looks at the slot's state.
#pragma once

#include "core/core.h"

namespace em {

struct StreamOps {
  // Input ------------------------------------------------------------------------------------------------------------

  // The poller reports the descriptor ready. There is room in the ring and the slab for one read.
  void (*ready)(Core& core, Slot& slot, uint32_t interest);
  // What was deferred as kDueInput: input that the poller knows nothing of. False where the ring or the slab has no
  // room for it: then it is called again.
  bool (*due)(Core& core, Slot& slot);
  // The program reads again. Returns whether the kernel is to be asked for more.
  bool (*read_on)(Core& core, Slot& slot);
  // Bytes that were held back have just gone into the ring. Returns the same.
  bool (*held_delivered)(Core& core, Slot& slot);

  // Output -----------------------------------------------------------------------------------------------------------

  // Sends the pieces of this turn behind all that waits, as far as the kernel takes it, and queues the rest. The slot
  // may be closed.
  void (*flush)(Core& core, Slot& slot, double stamp);
  // The same at once, with `data` behind the pieces. The bytes are counted as unsent, and copied before it returns.
  void (*write)(Core& core, Slot& slot, const uint8_t* data, size_t length);
  // Puts a range of a file behind all that waits. Sends nothing.
  void (*append_file)(Core& core, Slot& slot, int fd, int64_t offset, int64_t length);
  // Whether something is unsent that is neither a piece nor in the slot's queue.
  bool (*has_more_output)(const Slot& slot);
  // Whether there is something to do when the kernel takes more, beyond sending the slot's queue.
  bool (*wants_out)(const Slot& slot);
  // Hands pieces to the kernel; how many bytes it took, or a negative errno.
  ssize_t (*send_pieces)(Core& core, const Slot& slot, iovec* pieces, size_t count);
  // Bytes of the slot's queue are with the kernel: counts what of them is the program's.
  void (*queue_sent)(Core& core, Slot& slot, size_t length, double stamp);
  // The kernel takes nothing more, for this reason.
  void (*write_failed)(Core& core, Slot& slot, int32_t error, Syscall syscall);

  // Ends: called by stream_ends.cc ---------------------------------------------------------------------------------

  // Whether the peer's end is remembered here. Where it is not, the kernel reports its FIN for as long as nobody acts
  // on it, and reading goes on for that.
  bool keeps_end;
  // Whether the descriptor says all there is about the connection, and can go to another owner.
  bool can_detach;
  // The peer's end in the ring is about to be delivered. False where it stands for something else, or comes too early.
  bool (*may_settle)(Core& core, Slot& slot);
  // All output is with the kernel. Sends what the protocol has to say before a FIN, where kShutWanted. False while some
  // of that is left, or while the connection may not end: `output_done` is called again then.
  bool (*output_done)(Core& core, Slot& slot);
  // All output is with the kernel, and none follows: tells the peer so, where that can be told.
  void (*end_output)(Core& core, const Slot& slot);
  // The error that the kernel holds for the descriptor, negative; asking clears it.
  int (*pending_error)(int fd);
  // `finish`: nothing is read from here on but the peer's end. Returns whether that has come already.
  bool (*finish)(Core& core, Slot& slot);
  // `abort`: the connection is to be reset, with not a word more.
  void (*abort)(Slot& slot);
  // The slot is closed, and has its descriptor and its queue still.
  void (*closed)(Core& core, Slot& slot);
  // The handle is about to be free: frees what the kind has made for it. Called by loop/rounds.cc.
  void (*release)(Slot& slot);
};

extern const StreamOps kPlainOps;
extern const StreamOps kFileOps;
extern const StreamOps kTlsOps;

inline const StreamOps& ops(const Slot& slot) {
  if (!slot.has(kTls | kFile)) return kPlainOps;
  return slot.has(kTls) ? kTlsOps : kFileOps;
}

}  // namespace em
