#include "tls/tls_hello.h"

#include <algorithm>

#include "tls/openssl.h"

namespace em {

bool HelloWatch::take(const uint8_t* data, size_t length, int version) {
  while (length > 0 && active_) {
    const size_t taken = record_left_ == 0 ? take_record_header(data, length, version) : take_payload(data, length);
    data += taken;
    length -= taken;
  }
  return !too_long_;
}

size_t HelloWatch::take_record_header(const uint8_t* data, size_t length, int version) {
  const size_t part = std::min(length, sizeof record_ - record_have_);
  std::copy_n(data, part, record_ + record_have_);
  record_have_ = static_cast<uint8_t>(record_have_ + part);
  if (record_have_ < sizeof record_) return part;
  record_have_ = 0;
  record_left_ = static_cast<uint16_t>(record_[3] << 8 | record_[4]);
  // Between two hellos of TLS 1.3 this is an empty gesture; in older versions what follows is encrypted.
  skips_ = record_[0] == SSL3_RT_CHANGE_CIPHER_SPEC && !(version >= SSL3_VERSION && version < TLS1_3_VERSION);
  if (record_[0] != SSL3_RT_HANDSHAKE && !skips_) active_ = false;
  return part;
}

size_t HelloWatch::take_payload(const uint8_t* data, size_t length) {
  size_t part = std::min(length, size_t{record_left_});
  if (!skips_ && message_left_ > 0) {
    part = std::min(part, size_t{message_left_});
    message_left_ -= static_cast<uint32_t>(part);
  } else if (!skips_) {
    part = std::min(part, sizeof message_ - message_have_);
    std::copy_n(data, part, message_ + message_have_);
    message_have_ = static_cast<uint8_t>(message_have_ + part);
    if (message_have_ == sizeof message_) {
      message_have_ = 0;
      message_left_ = static_cast<uint32_t>(message_[1] << 16 | message_[2] << 8 | message_[3]);
      if (message_[0] != SSL3_MT_CLIENT_HELLO) {
        active_ = false;
      } else if (message_left_ > most_) {
        too_long_ = true;
        active_ = false;
      }
    }
  }
  record_left_ = static_cast<uint16_t>(record_left_ - part);
  return part;
}

}  // namespace em
