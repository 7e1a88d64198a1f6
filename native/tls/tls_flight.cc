#include "tls/tls_flight.h"

#include <algorithm>

#include "tls/openssl.h"

namespace em {

namespace {

constexpr size_t kHeader = 5;
constexpr size_t kMostRecord = 16384 + 2048;   // of TLS 1.2, sealed
constexpr uint32_t kMostMessage = 128 * 1024;  // more than OpenSSL takes of any kind that is not bounded here

bool is_record(const uint8_t* header) {
  return header[0] >= SSL3_RT_CHANGE_CIPHER_SPEC && header[0] <= SSL3_RT_APPLICATION_DATA &&
         header[1] == SSL3_VERSION_MAJOR && (header[3] << 8 | header[4]) <= static_cast<int>(kMostRecord);
}

}  // namespace

uint32_t FlightWatch::record_left() const {
  return record_have_ > 0 ? static_cast<uint32_t>(kHeader - record_have_) : record_left_;
}

// To the end of the message, or of its header.
uint32_t FlightWatch::message_left() const {
  return message_have_ > 0 ? static_cast<uint32_t>(sizeof message_ - message_have_) : message_left_;
}

bool FlightWatch::take(const uint8_t* data, size_t length, int version) {
  while (length > 0 && excess_ == Excess::none) {
    const size_t taken = record_left_ == 0 ? take_record_header(data, length, version) : take_payload(data, length);
    data += taken;
    length -= taken;
  }
  return excess_ == Excess::none;
}

FlightWatch::Part FlightWatch::next(const uint8_t* data, size_t length, int version) const {
  FlightWatch ahead = *this;
  for (size_t at = 0;;) {
    if (length - at < kHeader) return {0, at + kHeader + ahead.message_left()};
    if (!is_record(data + at)) return {length, 0};
    const size_t size = kHeader + static_cast<size_t>(data[at + 3] << 8 | data[at + 4]);
    const size_t here = std::min(size, length - at);
    if (!ahead.take(data + at, here, version) || ahead.for_openssl_) return {at + here, 0};
    at += here;
    if (here < size) {
      // What is left of the message is in this record, or in others with headers of their own.
      const uint32_t left = ahead.record_left(), rest = ahead.has_messages_ ? ahead.message_left() : 0;
      return {0, at + left + (rest > left ? kHeader + rest - left : 0)};
    }
    if (!ahead.has_messages_ || ahead.message_left() == 0) return {at, 0};
  }
}

size_t FlightWatch::take_record_header(const uint8_t* data, size_t length, int version) {
  const size_t part = std::min(length, kHeader - record_have_);
  std::copy_n(data, part, record_ + record_have_);
  record_have_ = static_cast<uint8_t>(record_have_ + part);
  if (record_have_ < kHeader) return part;
  record_have_ = 0;
  record_left_ = static_cast<uint16_t>(record_[3] << 8 | record_[4]);
  has_messages_ = record_[0] == SSL3_RT_HANDSHAKE && in_clear_;
  // Between two hellos of TLS 1.3 it is an empty gesture; in older versions what follows is encrypted.
  if (record_[0] == SSL3_RT_CHANGE_CIPHER_SPEC && version >= SSL3_VERSION && version < TLS1_3_VERSION)
    in_clear_ = false;
  return part;
}

size_t FlightWatch::take_payload(const uint8_t* data, size_t length) {
  size_t part = std::min(length, size_t{record_left_});
  if (has_messages_ && message_left_ > 0) {
    part = std::min(part, size_t{message_left_});
    message_left_ -= static_cast<uint32_t>(part);
  } else if (has_messages_) {
    part = std::min(part, sizeof message_ - message_have_);
    std::copy_n(data, part, message_ + message_have_);
    message_have_ = static_cast<uint8_t>(message_have_ + part);
    if (message_have_ == sizeof message_) {
      message_have_ = 0;
      judge_message();
    }
  }
  record_left_ = static_cast<uint16_t>(record_left_ - part);
  return part;
}

void FlightWatch::judge_message() {
  message_left_ = static_cast<uint32_t>(message_[1] << 16 | message_[2] << 8 | message_[3]);
  switch (message_[0]) {
    case SSL3_MT_CLIENT_HELLO:
      if (is_server_ && message_left_ > most_hello_) excess_ = Excess::hello;
      return;
    case SSL3_MT_SERVER_KEY_EXCHANGE:
      if (!is_server_ && message_left_ > kMostKeyExchange) excess_ = Excess::key_exchange;
      return;
    case SSL3_MT_CERTIFICATE:
    case SSL3_MT_CERTIFICATE_REQUEST:
      for_openssl_ = message_left_ > most_chain_;
      return;
    default:
      for_openssl_ = message_left_ > kMostMessage;
  }
}

}  // namespace em
