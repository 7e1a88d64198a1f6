// A connection under TLS in the rounds of its loop: what it reads, and what the program hears of it. stream.h and
// stream_io.cc come here for connections with kTls; everything else about them is as it is in clear.
//
// Nothing here calls the program: what it is to hear goes into the ring within `collect`, by tls_ready and tls_due.
#pragma once

#include "net/stream.h"
#include "tls/tls_connection.h"

namespace em {

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

}  // namespace em
