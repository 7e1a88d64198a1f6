// A connection under TLS. stream.h and stream_io.cc come here for connections with kTls; everything else about them is
// as it is in clear.
//
// Nothing here calls the program: what it is to hear goes into the ring within `collect`, by tls_ready and tls_due.
#pragma once

#include "stream.h"
#include "tls_session.h"

namespace em {

// Commands.
// Bytes read in clear, and neither delivered nor taken back.
size_t undelivered(Core& core, const Slot& slot);
// Returns what is wrong with the session to resume, in OpenSSL's words; null where TLS begins.
const char* start_tls(Core& core, Slot& slot, TlsStart& start);
enum class NameAnswer : int32_t { same, refuse, other };
void answer_server_name(Core& core, Slot& slot, NameAnswer answer, TlsContext* other);
void answer_verify(Core& core, Slot& slot, bool accepted);

// Rounds.
void tls_ready(Core& core, Slot& slot, uint32_t interest);
// What is to be done without the poller; false where the ring or the slab has no room for it.
bool tls_due(Core& core, Slot& slot);
// After a resume, and after held bytes went into the ring: whether the kernel is to be read on. What OpenSSL has read
// already becomes due.
bool tls_reads_on(Core& core, Slot& slot);
bool tls_delivered(Core& core, Slot& slot);
// Whether an end in the ring stands for the peer's, and may be delivered now.
bool tls_may_end(Core& core, Slot& slot);
// Nothing more is to be read but the end; returns whether the peer has ended already.
bool tls_finishing(Core& core, Slot& slot);

// Output.
// Sends the pieces of this turn, and `data` behind them, behind all that waits; what the kernel does not take is
// queued.
void tls_pump(Core& core, Slot& slot, const uint8_t* data, size_t length, double stamp);
// Bytes of the slot's queue went to the kernel.
void tls_sent(Core& core, Slot& slot, size_t length, double stamp);
void tls_send_file(Core& core, Slot& slot, int fd, int64_t offset, int64_t length);
void tls_write_failed(Core& core, Slot& slot, ssize_t error);
bool tls_has_plain(const Slot& slot);
// Whether there is something to do when the kernel takes more, beyond the slot's own queue.
bool tls_wants_out(const Slot& slot);
// All of it is sent: says that there is no more, where that is asked. False while something is left.
bool tls_output_done(Core& core, Slot& slot);
// The worker has read: `size` is negative for an errno, 0 at the end of the file. Takes the bytes over.
void tls_file_read(Core& core, int32_t handle, std::unique_ptr<uint8_t[]> bytes, int64_t size);

// Ends.
// The slot is closed and has its descriptor still.
void tls_closing(Core& core, Slot& slot);
void tls_fail(Core& core, Slot& slot, TlsError code, std::string reason);
// The connection is to end without a word.
void tls_silence(Slot& slot);

// For tls_output.cc and tls_stream.cc alone.
void tls_begin(TlsSession& session, double stamp);
void tls_put(TlsSession& session, const uint8_t* data, size_t length);
void tls_send_wire(TlsSession& session);
// For what is said at the very end: there is no later round to send it in.
void tls_send_last(TlsSession& session);
void tls_failed(Core& core, Slot& slot);
BIO_METHOD* make_transport();

}  // namespace em
