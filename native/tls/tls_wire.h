// The wire of a connection under TLS: records on their way to the kernel, and bytes from it straight into OpenSSL,
// whose BIO this is.
//
// Within a call into OpenSSL records are collected in TlsCore, and `tls_send_wire` sends them: every caller of OpenSSL
// calls `tls_begin` before it and one of the two sends behind it. What the kernel refuses waits in the slot's own
// queue.
#pragma once

#include "core/core.h"
#include "tls/tls_connection.h"
#include "tls/tls_core.h"

namespace em {

// What a round may ask of the kernel. OpenSSL may have the better part of a record from before: with it a round's
// plaintext fits the room for a read.
constexpr uint32_t kMayRead = kReadQuota - kMostPlaintext - kRecordOverhead;

// In a handshake: whether OpenSSL may be given something now, in `may_read`, or has to be told of an end. Where it may
// not, the poller wakes when there is enough, or when the kernel will hold no more.
bool tls_has_input(TlsConnection& tls);

// `stamp` is the time that what is sent from here on counts as sent.
void tls_begin(TlsConnection& tls, double stamp);
// Bytes for the wire, behind all that waits for it: OpenSSL's records, or what it was made to hold.
void tls_put(TlsConnection& tls, const uint8_t* data, size_t length);
void tls_send_wire(TlsConnection& tls);
// Counts what went to the kernel within a call that made a record: how much of the program's bytes a record has is
// known when that call returns.
void tls_settle_direct(TlsConnection& tls);
// For what is said at the very end: there is no later round to send it in.
void tls_send_last(TlsConnection& tls);

// Bytes of the slot's queue, or of the wire, went to the kernel.
void tls_sent(Core& core, Slot& slot, size_t length, double stamp);
// Tells of files whose last record is with the kernel.
void tls_report_files(TlsConnection& tls);
// The kernel takes no more: the connection ends when what the peer has said is read.
void tls_write_failed(Core& core, Slot& slot, int32_t error, Syscall syscall);

// Null where there is no memory for it.
BIO_METHOD* make_transport();

}  // namespace em
