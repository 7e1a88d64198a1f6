#include "net/stream_ends.h"

#include <poll.h>
#include <stdlib.h>

#include "net/listener.h"
#include "net/relay.h"
#include "net/socket.h"
#include "net/stream_io.h"
#include "net/stream_ops.h"

namespace em {

namespace {

void release_unread(Core& core, Slot& slot) {
  if (slot.unread == nullptr) return;
  free(slot.unread);
  slot.unread = nullptr;
  core.live.unread--;
}

// From here on only `closed` follows, and `fileSent` where output still goes on.
void mute(Core& core, Slot& slot) {
  core.shared.flags[slot.index()] |= kMuted | kNoWrite;
  slot.unset(kWantWritable);
  slot.due &= kDueFileSent | kDueInput;
}

// Nothing goes either way any more, and nothing more will come than what lies in the kernel.
bool is_over(int fd) {
  pollfd asked = {fd, 0, 0};
  return poll(&asked, 1, 0) == 1 && (asked.revents & POLLHUP) != 0;
}

// Everything but the event: nothing of the connection is left, except what `closed` may be asked about. `delivered`:
// that is about to be asked in this very batch, behind which the descriptor goes, so that it can be asked the kernel
// itself.
void end_stream(Core& core, Slot& slot, Ended ended, int32_t error, Syscall syscall, bool delivered) {
  uint32_t index = slot.index();
  slot.state = State::closed;
  slot.ended = ended;
  slot.error = error;
  slot.syscall = syscall;
  core.shared.flags[index] |= kNoWrite;
  if (slot.has(kRelays | kRelayed)) leave_relays(core, slot);
  ops(slot).closed(core, slot);
  if (!delivered) save_addresses(slot);
  if (ended == Ended::detached) {
    if (slot.has(kRegistered)) leave_poller(core, slot);
  } else {
    release_unread(core, slot);
    if (!delivered) drop_descriptor(core, slot);
  }
  slot.unset(kRegistered);
  // The slot keeps its own count: what was lost is told until `closed` is delivered.
  core.count(kTotalOutbound, -core.shared.outbound[index]);
  slot.queue.clear(core.live);
  core.forget_pieces(slot);
}

// The peer's direction has ended, and has been acted upon: nothing is read any more.
void end_input(Core& core, Slot& slot, Bit how) {
  slot.set(how);
  slot.unset(kWantIn);
  if (slot.has(kReadOnly)) {
    close_stream(core, slot, Ended::peer, 0, Syscall::none);
  } else if (slot.has(kShutDone)) {
    close_stream(core, slot, Ended::local, 0, Syscall::none);
  } else {
    update_interest(core, slot);
  }
}

}  // namespace

// Our direction ------------------------------------------------------------------------------------------------------

bool has_output(const Slot& slot) {
  return slot.piece_head != kNoPiece || !slot.queue.empty() || ops(slot).has_more_output(slot);
}

void shutdown_stream(Core& core, Slot& slot) {
  if (slot.state != State::open || is_muted(core, slot)) return;
  core.shared.flags[slot.index()] |= kNoWrite;
  slot.set(kShutWanted);
  if (!has_output(slot)) output_done(core, slot);
}

void output_done(Core& core, Slot& slot) {
  if (!ops(slot).output_done(core, slot)) return;
  if (slot.has(kShutWanted) && !slot.has(kShutDone)) {
    slot.set(kShutDone);
    ops(slot).end_output(core, slot);
  }
  if (slot.has(kDetaching)) return close_stream(core, slot, Ended::detached, 0, Syscall::none);
  if (!slot.has(kPeerFin | kEndDelivered)) return;
  const bool shut = slot.has(kShutDone);
  if (shut && slot.has(kFinishing | kEndDelivered)) return close_stream(core, slot, Ended::local, 0, Syscall::none);
  if (slot.has(kEndDelivered)) return;  // half-open: our direction is the program's to end
  // The peer's FIN has waited for this output.
  uint8_t& flags = core.shared.flags[slot.index()];
  if (flags & kPaused) {
    flags |= kNeedsResume;
  } else {
    close_stream(core, slot, shut ? Ended::local : Ended::peer, 0, Syscall::none);
  }
}

// The peer's direction -----------------------------------------------------------------------------------------------

void hold_open(Core&, Slot& slot) {
  if (!slot.has(kPeerFin)) slot.set(kHalfOpen);
}

void peer_ended(Core& core, Slot& slot) {
  if (slot.has(kFailed)) return close_stream(core, slot, Ended::error, slot.error, slot.syscall);
  if (slot.has(kFinishing)) return end_input(core, slot, kPeerFin);
  if (ops(slot).keeps_end) {
    slot.unset(kWantIn);
    update_interest(core, slot);
    if (slot.state != State::open) return;
  }
  core.emit(Event::fin, 0, slot.handle, 0, 0);
}

Settled settle(Core& core, Slot& slot) {
  if (slot.state != State::open || !ops(slot).may_settle(core, slot)) return Settled::nothing;
  uint32_t index = slot.index();
  if (core.shared.flags[index] & (kPaused | kMuted)) return Settled::nothing;
  if (slot.has(kHalfOpen)) {
    if (slot.has(kEndDelivered)) return Settled::nothing;
    end_input(core, slot, kEndDelivered);
    return Settled::end;
  }
  // Bytes JavaScript has written in this very batch count: they are not lost to a FIN that came before them.
  if (has_output(slot) || core.shared.outbound[index] > 0) {
    end_input(core, slot, kPeerFin);
    return Settled::nothing;
  }
  const bool here = slot.has(kShutDone) && !slot.has(kReadOnly);
  end_stream(core, slot, here ? Ended::local : Ended::peer, 0, Syscall::none, true);
  slot.due = 0;
  core.release_after_batch(slot);
  return here ? Settled::closedHere : Settled::closedByPeer;
}

// Rid of it ----------------------------------------------------------------------------------------------------------

void finish_stream(Core& core, Slot& slot) {
  if (is_muted(core, slot)) return;
  // Nothing is to be sent by who cannot send, and no peer waits for it.
  if (slot.state != State::open || slot.has(kReadOnly)) return close_by_command(core, slot);
  mute(core, slot);
  release_unread(core, slot);
  slot.set(kFinishing | kShutWanted);
  slot.unset(kParked);
  if (slot.has(kEndDelivered) || ops(slot).finish(core, slot)) slot.set(kPeerFin);
  if (!slot.has(kPeerFin)) slot.set(kWantIn);
  update_interest(core, slot);
  if (slot.state == State::open && !has_output(slot)) output_done(core, slot);
}

void detach_stream(Core& core, Slot& slot) {
  if (is_muted(core, slot) || !ops(slot).can_detach) return;
  if (slot.state != State::open) return close_by_command(core, slot);
  mute(core, slot);
  slot.set(kDetaching);
  slot.unset(kWantIn);
  update_interest(core, slot);
  if (slot.state == State::open && !has_output(slot)) output_done(core, slot);
}

void close_by_command(Core& core, Slot& slot) {
  if (slot.state == State::closed) return;
  mute(core, slot);
  core.shared.flags[slot.index()] |= kSilent;
  slot.due = 0;
  slot.files_sent = 0;
  close_stream(core, slot, Ended::local, 0, Syscall::none);
}

void abort_stream(Core& core, Slot& slot) {
  if (slot.state == State::closed) return;
  ops(slot).abort(slot);
  const linger reset = {1, 0};
  if (slot.has(kInternet)) setsockopt(slot.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  close_by_command(core, slot);
}

void close_stream(Core& core, Slot& slot, Ended ended, int32_t error, Syscall syscall) {
  if (slot.state == State::closed) return;
  end_stream(core, slot, ended, error, syscall, false);
  // A file that was sent is told of even if the connection failed right behind it.
  slot.due &= kDueFileSent;
  core.defer(slot, kDueClosed);
}

// Broken -------------------------------------------------------------------------------------------------------------

bool is_reading(const Core& core, const Slot& slot) {
  return slot.has(kWantIn) && slot.has(kRegistered) && !is_paused(core, slot) && !is_muted(core, slot);
}

void read_failed(Core& core, Slot& slot, int32_t error) {
  const bool known = slot.has(kFailed);
  close_stream(core, slot, Ended::error, known ? slot.error : error, known ? slot.syscall : Syscall::read);
}

void fail_stream(Core& core, Slot& slot, int32_t error, Syscall syscall) {
  if (slot.has(kFailed)) return;
  if (!is_reading(core, slot) || !is_over(slot.fd)) return close_stream(core, slot, Ended::error, error, syscall);
  slot.set(kFailed);
  slot.error = error;
  slot.syscall = syscall;
  core.shared.flags[slot.index()] |= kNoWrite;
  slot.unset(kWantWritable);
  slot.queue.clear(core.live);
  core.forget_pieces(slot);
  update_interest(core, slot);
}

int32_t take_error(Core& core, Slot& slot, int32_t error) {
  if (slot.has(kFailed) || (slot.state == State::closed && slot.ended == Ended::error)) return slot.error;
  if (error != 0 && slot.state == State::open && is_over(slot.fd)) fail_stream(core, slot, error, Syscall::read);
  return error;
}

// Errors and hang-ups are told also while nothing is read, for ever: an error ends the connection, and what is none
// lies in the error queue; a hang-up takes it from the poller until it reads again.
void hung_up(Core& core, Slot& slot, uint32_t interest) {
  if (slot.has(kFailed)) return close_stream(core, slot, Ended::error, slot.error, slot.syscall);
  if (interest & kError) {
    if (int error = ops(slot).pending_error(slot.fd); error != 0) {
      return close_stream(core, slot, Ended::error, error, Syscall::read);
    }
  }
  const bool explained = (interest & kError) && core.sys.drop_errors(slot.fd) > 0;
  if ((interest & (kError | kHangUp)) && !explained && slot.queue.empty()) slot.set(kParked);
  update_interest(core, slot);
}

}  // namespace em
