# Datagrams of Ruby's EventMachine.
#
#   datagrams.rb echo          prints its port, and sends back what comes
#   datagrams.rb ask PORT      sends three datagrams to 127.0.0.1, and prints what comes back

require "eventmachine"
require "socket"

$stdout.sync = true

class Echo < EM::Connection
  def receive_data(data)
    send_data(data)
  end
end

class Ask < EM::Connection
  def receive_data(data)
    puts data
  end
end

EM.run do
  if ARGV[0] == "echo"
    socket = EM.open_datagram_socket("127.0.0.1", 0, Echo)
    puts Socket.unpack_sockaddr_in(socket.get_sockname)[0]
  else
    socket = EM.open_datagram_socket("127.0.0.1", 0, Ask)
    %w[one two three].each { |text| socket.send_datagram(text, "127.0.0.1", ARGV[1].to_i) }
  end
end
