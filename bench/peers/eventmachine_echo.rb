# Ruby's EventMachine on its epoll backend.
require "eventmachine"
require "socket"

module Echo
  def post_init
    set_sock_opt(Socket::IPPROTO_TCP, Socket::TCP_NODELAY, true)
  end

  def receive_data(data)
    send_data(data)
  end
end

Signal.trap("TERM") { exit!(0) } # an orderly end with open connections crashes in release_machine

EventMachine.epoll
EventMachine.set_descriptor_table_size(20_000)
EventMachine.run do
  server = EventMachine.start_server("127.0.0.1", 0, Echo)
  port, = Socket.unpack_sockaddr_in(EventMachine.get_sockname(server))
  puts "listening on 127.0.0.1:#{port}"
  $stdout.flush
end
