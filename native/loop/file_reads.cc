#include "loop/file_reads.h"

#include <errno.h>
#include <unistd.h>

#include "tls/tls_output.h"

namespace em {

struct FileReads::Job {
  uv_work_t request;
  FileReads* owner;
  int32_t handle;
  int fd;
  int64_t offset;
  size_t length;
  int64_t size = 0;
  std::unique_ptr<uint8_t[]> bytes;
};

void FileReads::read(int32_t handle, int fd, int64_t offset, size_t length) {
  auto* job = new Job{{}, this, handle, fd, offset, length, 0, std::unique_ptr<uint8_t[]>(new uint8_t[length])};
  job->request.data = job;
  under_way_++;
  core_.live.file_reads++;
  uv_queue_work(uv_, &job->request, work, after);
}

void FileReads::work(uv_work_t* request) {
  auto* job = static_cast<Job*>(request->data);
  do {
    job->size = pread(job->fd, job->bytes.get(), job->length, job->offset);
  } while (job->size < 0 && errno == EINTR);
  if (job->size < 0) job->size = -errno;
}

void FileReads::after(uv_work_t* request, int) {
  auto* job = static_cast<Job*>(request->data);
  FileReads& reads = *job->owner;
  reads.under_way_--;
  reads.core_.live.file_reads--;
  if (!reads.stopped_) tls_file_read(reads.core_, job->handle, std::move(job->bytes), job->size);
  delete job;
  if (reads.stopped_ && reads.under_way_ == 0) reads.done_(reads.argument_);
}

bool FileReads::stop() {
  stopped_ = true;
  return under_way_ > 0;
}

}  // namespace em
